package link

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// ErrURL is the error of a URL that names no stream to push to. A retry does not help.
var ErrURL = errors.New("not the URL of an RTMP stream")

// Ports where a URL has none.
const (
	portRTMP  = "1935"
	portRTMPS = "443"
)

// Target is the place that a push goes to, as an RTMP URL names it.
type Target struct {
	tls     bool
	host    string // without port, for the certificate
	address string // host:port, to dial
	app     string // all of the path but its last part
	name    string // the last part and the query: with many services a secret
	query   string // of name; a secret
	tcURL   string // scheme, host and app
}

// ParseTarget reads rtmp://host[:port]/app/name?query, or rtmps://. The application may
// have several parts. Errors wrap ErrURL and hold nothing of the URL, since it may hold a
// secret.
func ParseTarget(raw string) (Target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return Target{}, fmt.Errorf("%w: it cannot be parsed", ErrURL)
	}
	t := Target{tls: u.Scheme == "rtmps", host: u.Hostname(), query: u.RawQuery}
	port := portRTMP
	switch {
	case t.tls:
		port = portRTMPS
	case u.Scheme != "rtmp":
		return Target{}, fmt.Errorf("%w: it begins neither with rtmp:// nor with rtmps://", ErrURL)
	}
	if p := u.Port(); p != "" {
		port = p
	}
	path := strings.Trim(u.EscapedPath(), "/")
	cut := strings.LastIndexByte(path, '/')
	switch {
	case t.host == "":
		return Target{}, fmt.Errorf("%w: it has no host", ErrURL)
	case u.User != nil:
		return Target{}, fmt.Errorf("%w: user and password are not supported; put a key into the query", ErrURL)
	case cut <= 0:
		return Target{}, fmt.Errorf("%w: the path is to be /app/name", ErrURL)
	}
	t.address = net.JoinHostPort(t.host, port)
	t.app, t.name = strings.TrimRight(path[:cut], "/"), path[cut+1:]
	if t.query != "" {
		t.name += "?" + t.query
	}
	t.tcURL = u.Scheme + "://" + u.Host + "/" + t.app
	return t, nil
}

// String is what logs and errors may show: the name is left out, since many services
// take it for a key.
func (t Target) String() string { return t.tcURL }

// redact takes out of a far side's words what must not be shown.
func (t Target) redact(s string) string {
	for _, secret := range []string{t.query, t.name} {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "…")
		}
	}
	return s
}
