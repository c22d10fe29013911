package signal

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-live/holdfast/ingest/rtcsock"
)

// fakeSession is a Session with configured results.
type fakeSession struct {
	mu       sync.Mutex // guards the fields below
	ufrag    string
	trickled []rtcsock.Fragment
	restarts int
	deletes  int
	failure  error // of Trickle and Restart

	request Request
}

func (s *fakeSession) Trickle(f rtcsock.Fragment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return s.failure
	}
	s.trickled = append(s.trickled, f)
	return nil
}

func (s *fakeSession) Restart(_ context.Context, f rtcsock.Fragment) (rtcsock.Fragment, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return rtcsock.Fragment{}, s.failure
	}
	s.restarts++
	s.ufrag = f.Ufrag
	return rtcsock.Fragment{Ufrag: "ours", Pwd: strings.Repeat("o", 22), End: true}, nil
}

func (s *fakeSession) RemoteUfrag() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ufrag
}

func (s *fakeSession) Delete() {
	s.mu.Lock()
	s.deletes++
	s.mu.Unlock()
	s.request.Ended()
}

func (s *fakeSession) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}

// fakeEndpoint is a Handler over HTTP with fake sessions, the newest last.
type fakeEndpoint struct {
	*Handler
	url string
	log *bytes.Buffer

	mu       sync.Mutex // guards the fields below
	sessions []*fakeSession
	requests []Request
	failure  error             // of Open
	during   func(Request)     // called in Open
	remote   string            // of every peer
	client   http.RoundTripper // follows no redirects
}

func newFakeEndpoint(t *testing.T) *fakeEndpoint {
	h := &fakeEndpoint{log: &bytes.Buffer{}, remote: "192.0.2.1:1000", client: http.DefaultTransport}
	h.Handler = New(Options{
		Kind: "whip", Open: h.open,
		Problem: func(w http.ResponseWriter, status int, reason, hint string) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, reason+"; "+hint) //nolint:gosec // no browser reads it
		},
		Remote: func(*http.Request) string {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.remote
		},
		Links: func() []string { return []string{`<stun:stun.example.net>; rel="ice-server"`} },
		Log:   slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	server := httptest.NewServer(h.Handler)
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

func (h *fakeEndpoint) open(_ context.Context, r Request) (Session, string, error) {
	if err := r.Enter(); err != nil {
		return nil, "", err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, r)
	if h.during != nil {
		h.during(r)
	}
	if h.failure != nil {
		return nil, "", h.failure
	}
	s := &fakeSession{ufrag: "them", request: r}
	h.sessions = append(h.sessions, s)
	return s, "v=0 answer", nil
}

// answer is a response with its body.
type answer struct {
	*http.Response
	body string
}

// do sends a request; headers are in pairs.
func (h *fakeEndpoint) do(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequest(method, h.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Add(pair[0], pair[1])
	}
	res, err := h.client.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, string(b)}
}

func (h *fakeEndpoint) post(t *testing.T, path string, headers ...string) answer {
	t.Helper()
	return h.do(t, http.MethodPost, path, "v=0 offer", append([]string{"Content-Type", sdpType}, headers...)...)
}

// patch sends a fragment with If-Match, or without if match is empty.
func (h *fakeEndpoint) patch(t *testing.T, path, fragment, match string) answer {
	t.Helper()
	headers := []string{"Content-Type", fragType}
	if match != "" {
		headers = append(headers, "If-Match", match)
	}
	return h.do(t, http.MethodPatch, path, fragment, headers...)
}

// opened returns the path and the entity tag of a new session.
func (h *fakeEndpoint) opened(t *testing.T) (path, tag string, s *fakeSession) {
	t.Helper()
	a := h.post(t, "/live/a/whip")
	wantStatus(t, a, http.StatusCreated)
	h.mu.Lock()
	defer h.mu.Unlock()
	return a.Header.Get("Location"), a.Header.Get("ETag"), h.sessions[len(h.sessions)-1]
}

func wantStatus(t *testing.T, a answer, status int) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: got %d %q, want %d", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.body, status)
	}
}

func wantHeader(t *testing.T, a answer, key, value string) {
	t.Helper()
	if got := a.Header.Get(key); got != value {
		t.Errorf("%s: got %q, want %q", key, got, value)
	}
}
