package hook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Headers of a call.
const (
	// EventHeader contains the event's ID, by which a receiver can detect retries.
	EventHeader = "Holdfast-Event"
	// SignatureHeader contains "t=SECONDS,v1=HEX": the Unix time of sending, and the HMAC-SHA256 of
	// that number, a dot and the body.
	SignatureHeader = "Holdfast-Signature"
)

// Sign returns the value of SignatureHeader for a body that is sent at time now.
func Sign(secret string, now time.Time, body []byte) string {
	t := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(t + ".")) // never fails
	_, _ = mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// newClient returns a client that follows no redirects, because events are sent only to the
// configured URL.
func newClient(h *Hook, o Options) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: o.Dial, ForceAttemptHTTP2: true, DisableCompression: true,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: h.Insecure}, //nolint:gosec // where the operator says so
			MaxIdleConnsPerHost: 4, MaxConnsPerHost: 2*maxPending + 1, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 16 << 10,
		},
	}
}

// answer is the result of a call.
type answer struct {
	outcome      Outcome
	retry        bool          // a retry may help
	retryAfter   time.Duration // minimum delay of the retry; 0 if the hook has not set one
	reason, hint string
	err          error // for Failed
}

// maxBody bounds the bytes of a response that are read.
const maxBody = 64 << 10

// post calls the hook once.
func (t *target) post(ctx context.Context, m message) answer {
	h := t.hook.Load()
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(m.body))
	if err != nil {
		return answer{outcome: Failed, err: errText("invalid request")} // err may contain a secret
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Holdfast")
	r.Header.Set(EventHeader, m.id)
	if h.Secret != "" {
		r.Header.Set(SignatureHeader, Sign(h.Secret, time.Now(), m.body))
	}
	got, err := t.client.Do(r)
	if err != nil {
		return answer{outcome: Failed, retry: true, err: withoutURL(err)}
	}
	defer got.Body.Close()
	body, err := io.ReadAll(io.LimitReader(got.Body, maxBody+1))
	after := retryAfter(got.Header.Get("Retry-After"), time.Now())
	switch {
	case got.StatusCode < 300 && (m.kind == Publish || m.kind == Play):
		return verdictOf(body, err)
	case got.StatusCode < 300:
		return answer{outcome: Delivered}
	case got.StatusCode >= 400 && got.StatusCode < 500:
		a := answer{outcome: Refused, retry: retryable(got.StatusCode), retryAfter: after, err: errText("it answered " + strconv.Itoa(got.StatusCode))}
		if err == nil {
			a.reason, a.hint = refusalText(body[:min(len(body), maxBody)])
		}
		return a
	case got.StatusCode < 400:
		return answer{outcome: Failed, err: fmt.Errorf("it answered %d, and redirects are not followed", got.StatusCode)}
	}
	return answer{outcome: Failed, retry: retryable(got.StatusCode), retryAfter: after, err: fmt.Errorf("it answered %d", got.StatusCode)}
}

// errText is an error that consists only of its text.
type errText string

func (e errText) Error() string { return string(e) }

// withoutURL removes the URL from an error, because it may contain a secret.
func withoutURL(err error) error {
	type wrapped interface{ Unwrap() error }
	if w, ok := err.(wrapped); ok { //nolint:errorlint // the outermost, which is *url.Error, and no other
		return w.Unwrap()
	}
	return err
}

// refusalText returns the reason and hint of a hook's refusal.
func refusalText(body []byte) (reason, hint string) {
	var said struct{ Error, Hint string }
	if json.Unmarshal(body, &said) != nil {
		return "", ""
	}
	return printable(said.Error), printable(said.Hint)
}

// maxText bounds the length of a text from a hook, in runes.
const maxText = 200

// printable converts a text to one printable line.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if r := []rune(strings.TrimSpace(s)); len(r) > maxText {
		return string(r[:maxText])
	}
	return strings.TrimSpace(s)
}
