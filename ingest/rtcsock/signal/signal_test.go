package signal

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtcsock"
)

func TestPost(t *testing.T) {
	h := newFakeEndpoint(t)
	a := h.post(t, "/live/caf%C3%A9/whip?backup=1", "Authorization", "bearer s3cret", "User-Agent", strings.Repeat("x", 300))
	wantStatus(t, a, http.StatusCreated)
	if a.body != "v=0 answer" {
		t.Errorf("got body %q", a.body)
	}
	if got := a.Header.Get("Location"); !regexp.MustCompile(`^/live/caf%C3%A9/whip/[A-Za-z0-9_-]{22}$`).MatchString(got) {
		t.Errorf("got Location %q", got)
	}
	if got := a.Header.Get("ETag"); !regexp.MustCompile(`^"[A-Za-z0-9_-]{22}"$`).MatchString(got) {
		t.Errorf("got ETag %q, want a strong one", got)
	}
	wantHeader(t, a, "Content-Type", sdpType)
	wantHeader(t, a, "Accept-Patch", fragType)
	wantHeader(t, a, "Link", `<stun:stun.example.net>; rel="ice-server"`)
	wantHeader(t, a, "Cache-Control", "no-store")
	r := h.requests[0]
	if r.App != "live" || r.Name != "café" || r.Offer != "v=0 offer" || r.Secret != "s3cret" || r.Query("backup") != "1" ||
		r.Remote != h.remote || len(r.Agent) != 256 || "/live/caf%C3%A9/whip/"+r.ID != a.Header.Get("Location") {
		t.Errorf("got request %+v", r)
	}
}

func TestSecrets(t *testing.T) {
	for _, c := range []struct{ query, header, want string }{
		{"", "Bearer abc", "abc"},
		{"?key=k", "BEARER abc", "abc"},
		{"?key=k&token=t", "", "k"},
		{"?token=t", "", "t"},
		{"?token=t", "Basic eDp5", "t"},
		{"", "Bearer ", ""},
		{"", "", ""},
	} {
		h := newFakeEndpoint(t)
		wantStatus(t, h.post(t, "/live/a/whip"+c.query, "Authorization", c.header), http.StatusCreated)
		if got := h.requests[0].Secret; got != c.want {
			t.Errorf("%q, %q: got %q, want %q", c.query, c.header, got, c.want)
		}
	}
}

// TestPostRefused checks the response to each kind of refusal.
func TestPostRefused(t *testing.T) {
	refusal := func(o ingest.Outcome, after time.Duration) error {
		return fmt.Errorf("wrapped: %w", &ingest.Refusal{Outcome: o, Reason: "no", Hint: "do", RetryAfter: after})
	}
	for _, c := range []struct {
		name   string
		err    error
		status int
		retry  string
	}{
		{"name", refusal(ingest.RefusedName, 0), http.StatusNotFound, ""},
		{"key", refusal(ingest.RefusedKey, 0), http.StatusUnauthorized, ""},
		{"takeover", refusal(ingest.RefusedTakeover, 1500*time.Millisecond), http.StatusConflict, "2"},
		{"codec", refusal(ingest.RefusedCodec, 0), http.StatusUnprocessableEntity, ""},
		{"limit", refusal(ingest.RefusedLimit, time.Second), http.StatusServiceUnavailable, "1"},
		{"not live", &ingest.Refusal{NotLive: true, Reason: "no", RetryAfter: time.Second}, http.StatusConflict, "1"},
		{"offer", fmt.Errorf("%w: bad", rtcsock.ErrOffer), http.StatusBadRequest, ""},
		{"unexpected", errors.New("disk on fire"), http.StatusServiceUnavailable, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFakeEndpoint(t)
			h.failure = c.err
			a := h.post(t, "/live/a/whip?key=s3cret")
			wantStatus(t, a, c.status)
			wantHeader(t, a, "Retry-After", c.retry)
			wantHeader(t, a, "Location", "")
			wantHeader(t, a, "ETag", "")
			challenge := ""
			if c.status == http.StatusUnauthorized {
				challenge = `Bearer realm="holdfast"`
			}
			wantHeader(t, a, "WWW-Authenticate", challenge)
			if strings.Contains(a.body, "fire") {
				t.Errorf("got internal error %q in the response", a.body)
			}
			if h.Sessions() != 0 || h.pending.total != 0 {
				t.Errorf("got %d sessions, %d pending", h.Sessions(), h.pending.total)
			}
		})
	}
}

// TestBody checks the responses to bodies that are not offers.
func TestBody(t *testing.T) {
	h := newFakeEndpoint(t)
	for _, c := range []struct {
		kind, body string
		status     int
	}{
		{"", "v=0", http.StatusUnsupportedMediaType},
		{"text/plain", "v=0", http.StatusUnsupportedMediaType},
		{"application/sdp;=", "v=0", http.StatusUnsupportedMediaType},
		{"Application/SDP; charset=utf-8", "v=0", http.StatusCreated},
		{sdpType, strings.Repeat("x", maxBody), http.StatusCreated},
		{sdpType, strings.Repeat("x", maxBody+1), http.StatusRequestEntityTooLarge},
	} {
		wantStatus(t, h.do(t, http.MethodPost, "/live/a/whip", c.body, "Content-Type", c.kind), c.status)
	}
}

func TestAddresses(t *testing.T) {
	h := newFakeEndpoint(t)
	for _, c := range []struct {
		method, path string
		status       int
		key, value   string
	}{
		{http.MethodPost, "/live/a/whip/", http.StatusTemporaryRedirect, "Location", "/live/a/whip"},
		{http.MethodPost, "/live/caf%C3%A9/whip/?key=k&backup=1", http.StatusTemporaryRedirect, "Location", "/live/caf%C3%A9/whip?key=k&backup=1"},
		{http.MethodPost, "//example.net/whip/", http.StatusNotFound, "Location", ""},
		{http.MethodPost, "//example.net/whip", http.StatusNotFound, "Location", ""},
		{http.MethodPost, "/live//whip", http.StatusNotFound, "", ""},
		{http.MethodPost, "/live/a", http.StatusNotFound, "", ""},
		{http.MethodPost, "/live/a/whep", http.StatusNotFound, "", ""},
		{http.MethodPost, "/live/a/whip/x/y", http.StatusNotFound, "", ""},
		{http.MethodOptions, "/live/a/whip", http.StatusNoContent, "Accept-Post", sdpType},
		{http.MethodOptions, "/live/a/whip", http.StatusNoContent, "Link", ""},
		{http.MethodOptions, "/live/a/whip/x", http.StatusNoContent, "Accept-Patch", fragType},
		{http.MethodGet, "/live/a/whip", http.StatusMethodNotAllowed, "Allow", "POST, OPTIONS"},
		{http.MethodHead, "/live/a/whip", http.StatusMethodNotAllowed, "Allow", "POST, OPTIONS"},
		{http.MethodPut, "/live/a/whip", http.StatusMethodNotAllowed, "Allow", "POST, OPTIONS"},
		{http.MethodDelete, "/live/a/whip", http.StatusMethodNotAllowed, "Allow", "POST, OPTIONS"},
		{http.MethodPatch, "/live/a/whip", http.StatusMethodNotAllowed, "Allow", "POST, OPTIONS"},
		{http.MethodDelete, "/live/a/whip/x", http.StatusNotFound, "", ""},
		{http.MethodGet, "/live/a/whip/x", http.StatusNotFound, "", ""},
	} {
		a := h.do(t, c.method, c.path, "v=0", "Content-Type", sdpType)
		if a.StatusCode != c.status || c.key != "" && a.Header.Get(c.key) != c.value {
			t.Errorf("%s %s: got %d with %s %q, want %d with %q", c.method, c.path, a.StatusCode, c.key, a.Header.Get(c.key), c.status, c.value)
		}
	}
	if len(h.requests) != 0 {
		t.Errorf("got %d offers", len(h.requests))
	}
}

// TestPending checks the limits of sessions being set up, in total and per network.
func TestPending(t *testing.T) {
	h := newFakeEndpoint(t)
	h.pending.maxTotal, h.pending.maxPerAddress = 5, 2
	from := func(remote string, status int) {
		t.Helper()
		h.mu.Lock()
		h.remote = remote
		h.mu.Unlock()
		a := h.post(t, "/live/a/whip")
		wantStatus(t, a, status)
		if status == http.StatusServiceUnavailable {
			wantHeader(t, a, "Retry-After", "2")
		}
	}
	from("192.0.2.1:1", 201)
	from("[::ffff:192.0.2.1]:2", 201)
	from("192.0.2.1:3", 503)
	from("[2001:db8:0:1::1]:1", 201)
	from("[2001:db8:0:1:ffff::1]:1", 201)
	from("[2001:db8:0:1:2::3]:1", 503) // of the same /64
	from("[2001:db8:0:2::1]:1", 201)
	from("192.0.2.9:1", 503) // too many in total
	h.requests[0].Connected()
	h.requests[0].Connected()
	h.requests[0].Ended()
	from("192.0.2.1:4", 201)
	from("192.0.2.1:5", 503)
	h.requests[1].Ended()
	from("192.0.2.1:6", 201)
	for _, r := range h.requests {
		r.Ended()
		r.Connected()
	}
	if h.pending.total != 0 || len(h.pending.perAddress) != 0 || h.Sessions() != 0 {
		t.Errorf("got %d pending, %v, %d sessions", h.pending.total, h.pending.perAddress, h.Sessions())
	}
}

// TestEndsBeforeItIsOpened ends a session while Open still runs.
func TestEndsBeforeItIsOpened(t *testing.T) {
	h := newFakeEndpoint(t)
	h.during = func(r Request) { r.Ended() }
	path, _, _ := h.opened(t)
	wantStatus(t, h.do(t, http.MethodDelete, path, ""), http.StatusNotFound)
	if h.pending.total != 0 || h.Sessions() != 0 {
		t.Errorf("got %d pending, %d sessions", h.pending.total, h.Sessions())
	}
}

// TestNotYetOpened requests a session while Open still runs.
func TestNotYetOpened(t *testing.T) {
	h := newFakeEndpoint(t)
	var during []answer
	h.during = func(r Request) {
		path := "/live/a/whip/" + r.ID
		during = append(during, h.patch(t, path, "a=end-of-candidates\r\n", "*"), h.do(t, http.MethodDelete, path, ""))
	}
	path, _, s := h.opened(t)
	for _, a := range during {
		wantStatus(t, a, http.StatusNotFound)
	}
	wantStatus(t, h.do(t, http.MethodDelete, path, ""), http.StatusOK)
	if s.deletes != 1 {
		t.Errorf("got %d deletes", s.deletes)
	}
}

// TestLogHasNoSecrets checks the log of good and bad requests.
func TestLogHasNoSecrets(t *testing.T) {
	h := newFakeEndpoint(t)
	path, tag, s := h.opened(t)
	s.fail(errors.New("broken"))
	h.patch(t, path, restartFragment("new1"), "*")
	h.patch(t, path, "x", tag)
	for _, err := range []error{&ingest.Refusal{Outcome: ingest.RefusedKey, Reason: "no"}, errors.New("broken"), rtcsock.ErrOffer} {
		h.failure = err
		h.post(t, "/live/a/whip?key=qsecret&token=tsecret", "Authorization", "Bearer hsecret")
	}
	text := h.log.String()
	if !strings.Contains(text, "refused") || !strings.Contains(text, "not restarted") {
		t.Errorf("got a log without the requests:\n%s", text)
	}
	for _, secret := range []string{"secret", strings.TrimPrefix(path, "/live/a/whip/"), strings.Trim(tag, `"`), h.requests[1].ID, strings.Repeat("n", 22)} {
		if strings.Contains(text, secret) {
			t.Errorf("got %q in the log:\n%s", secret, text)
		}
	}
}

// TestManyAtOnce opens, patches and deletes sessions concurrently.
func TestManyAtOnce(t *testing.T) {
	h := newFakeEndpoint(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 {
				a := h.post(t, "/live/a/whip")
				path, tag := a.Header.Get("Location"), a.Header.Get("ETag")
				var some sync.WaitGroup
				some.Go(func() { h.patch(t, path, "a=end-of-candidates\r\n", tag) })
				some.Go(func() { h.patch(t, path, restartFragment("new2"), "*") })
				some.Go(func() { h.patch(t, path, restartFragment("new3"), "*") })
				some.Wait()
				if got := h.do(t, http.MethodDelete, path, "").StatusCode; got != http.StatusOK {
					t.Errorf("DELETE: got %d", got)
				}
			}
		})
	}
	all.Wait()
	if h.Sessions() != 0 || h.pending.total != 0 {
		t.Errorf("got %d sessions, %d pending", h.Sessions(), h.pending.total)
	}
}
