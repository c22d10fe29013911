package link

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"unicode"
)

// ErrURL reports that a URL does not name a stream. Retrying does not help.
var ErrURL = errors.New("not the URL of a stream")

// ports are the default ports of the schemes.
var ports = map[string]string{"rtmp": "1935", "rtmps": "443", "http": "80", "https": "443"}

// Target is a parsed URL of a stream.
type Target struct {
	scheme string
	host   string // without port, for the certificate
	port   string
	shown  string // the part of the URL that logs may show

	// The fields below are used for RTMP.
	app   string // the path without its last part
	name  string // the last part and the query: a secret with many services
	query string // a secret
	tcURL string // scheme, host and app

	// The fields below are used for HTTP.
	authority string // host and port as in the URL
	request   string // path and query
}

// ParseTarget parses rtmp://host[:port]/app/name?query, rtmps://, or the http:// or https:// URL of
// an FLV stream. The app may have several path elements. Errors wrap ErrURL and quote no part of the
// URL, since it may contain a secret.
func ParseTarget(raw string) (Target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return Target{}, fmt.Errorf("%w: it cannot be parsed", ErrURL)
	}
	t := Target{scheme: u.Scheme, host: u.Hostname(), port: u.Port(), query: u.RawQuery}
	switch {
	case ports[t.scheme] == "":
		return Target{}, fmt.Errorf("%w: it begins with none of rtmp://, rtmps://, http:// and https://", ErrURL)
	case t.host == "":
		return Target{}, fmt.Errorf("%w: it has no host", ErrURL)
	case u.User != nil:
		return Target{}, fmt.Errorf("%w: user and password are not supported; put a key into the query", ErrURL)
	}
	if t.port == "" {
		t.port = ports[t.scheme]
	}
	if t.http() {
		t.authority, t.request = u.Host, u.RequestURI()
		t.shown = t.scheme + "://" + u.Host + u.EscapedPath()
		return t, nil
	}
	path := strings.Trim(u.EscapedPath(), "/")
	cut := strings.LastIndexByte(path, '/')
	if cut <= 0 {
		return Target{}, fmt.Errorf("%w: the path is to be /app/name", ErrURL)
	}
	t.app, t.name = strings.TrimRight(path[:cut], "/"), path[cut+1:]
	if t.query != "" {
		t.name += "?" + t.query
	}
	t.tcURL = u.Scheme + "://" + u.Host + "/" + t.app
	t.shown = t.tcURL
	return t, nil
}

// Host returns host:port in lower case, which is the same for all streams of a server.
func (t Target) Host() string { return strings.ToLower(net.JoinHostPort(t.host, t.port)) }

// String returns the part of the URL that logs and errors may show. It omits the query and, for
// RTMP, the name, since many services use it as a key.
func (t Target) String() string { return t.shown }

func (t Target) tls() bool { return t.scheme == "rtmps" || t.scheme == "https" }

func (t Target) http() bool { return t.scheme == "http" || t.scheme == "https" }

// redact removes the target's secrets and their parts from a peer's text, the longest first.
func (t Target) redact(s string) string {
	bare, _, _ := strings.Cut(t.name, "?")
	plain, _ := url.PathUnescape(bare)
	secrets := []string{t.request, t.name, t.query, bare, plain}
	for pair := range strings.SplitSeq(t.query, "&") {
		_, value, _ := strings.Cut(pair, "=")
		plain, _ := url.QueryUnescape(value)
		secrets = append(secrets, pair, value, plain)
	}
	for _, secret := range secrets {
		if len(secret) >= leastSecret {
			s = strings.ReplaceAll(s, secret, "…")
		}
	}
	return s
}

// leastSecret is the length of the shortest secret that is removed, in bytes. A shorter secret may
// be part of any sentence, and protects nothing.
const leastSecret = 3

// maxShown bounds the bytes of a peer's text that are kept.
const maxShown = 256

// clean returns a peer's text in a form that is safe to log. Secrets are removed before the text is
// truncated, so that no part of one is left.
func (t Target) clean(s string) string {
	s = t.redact(s)
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	for i := range s {
		if i > maxShown-4 { // within a rune's length of the bound
			return s[:i]
		}
	}
	return s
}
