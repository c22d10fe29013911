package whip

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/ingest/rtcsock/signal"
	"github.com/holdfast-live/holdfast/packetbuf"
)

// testServer is a Server on loopback with streams that accept everything.
type testServer struct {
	*Server

	mu       sync.Mutex // guards the fields below
	changed  *sync.Cond
	requests []ingest.Request
	sinks    map[string]*fakeStream // the newest of each name
	refused  []ingest.Outcome
	refusal  *ingest.Refusal // of every publish
	taken    int
	ended    int
}

// fakeStream is a stream.
type fakeStream struct {
	h       *testServer
	session ingest.Session
	packets []*packetbuf.Packet
	cause   ingest.Cause
	detail  string
	failure error
	panics  bool // panic at each Write
}

func newTestServer(t *testing.T, change func(*Options)) *testServer {
	t.Helper()
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := rtcsock.New(rtcsock.Options{UDP: udp})
	if err != nil {
		t.Fatal(err)
	}
	h := &testServer{sinks: map[string]*fakeStream{}}
	h.changed = sync.NewCond(&h.mu)
	log := slog.DiscardHandler
	if testing.Verbose() {
		log = slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})
	}
	o := Options{
		Access: h, Sockets: sockets, Log: slog.New(log),
		Remote: func(r *http.Request) string { return r.RemoteAddr },
		Problem: func(w http.ResponseWriter, status int, reason, hint string) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, reason+"; "+hint)
		},
		Refused: func(o ingest.Outcome) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.refused = append(h.refused, o)
		},
		Take: func(string) (func(), *ingest.Refusal) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.taken++
			return sync.OnceFunc(func() {
				h.mu.Lock()
				defer h.mu.Unlock()
				h.taken--
				h.changed.Broadcast()
			}), nil
		},
	}
	if change != nil {
		change(&o)
	}
	h.Server = New(o)
	t.Cleanup(func() {
		if err := h.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		_ = sockets.Close()
	})
	return h
}

// Publish implements ingest.Access.
func (h *testServer) Publish(_ context.Context, r ingest.Request) (ingest.Sink, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refusal != nil {
		return nil, h.refusal
	}
	s := &fakeStream{h: h, session: r.Session}
	h.requests = append(h.requests, r)
	h.sinks[r.Name] = s
	h.changed.Broadcast()
	return s, nil
}

func (s *fakeStream) Write(p *packetbuf.Packet) error {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if s.panics {
		panic("by the test")
	}
	s.packets = append(s.packets, p)
	s.h.changed.Broadcast()
	return s.failure
}

func (s *fakeStream) End(cause ingest.Cause, detail string) {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if s.cause != "" {
		panic("ended twice")
	}
	s.cause, s.detail = cause, detail
	s.h.ended++
	s.h.changed.Broadcast()
}

// waitUntil waits until a condition holds.
func (h *testServer) waitUntil(so func() bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for !so() {
		h.changed.Wait()
	}
}

// stream returns the stream of a name, once there is one.
func (h *testServer) stream(name string) (s *fakeStream) {
	h.waitUntil(func() bool { s = h.sinks[name]; return s != nil })
	return s
}

// waitForEnd waits for a stream's end and returns its cause.
func (h *testServer) waitForEnd(name string) ingest.Cause {
	s := h.stream(name)
	h.waitUntil(func() bool { return s.cause != "" })
	return s.cause
}

// testRequest returns an offer in the form of the HTTP side.
func testRequest(offer string) signal.Request {
	return signal.Request{
		App: "live", Name: "a", Offer: offer, Query: func(string) string { return "" }, Remote: "192.0.2.1:1",
		ID: strings.Repeat("i", 22), Enter: func() error { return nil }, Connected: func() {}, Ended: func() {},
	}
}

// recorder is a response in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// request sends a request to the server; headers are in pairs.
func (h *testServer) request(t *testing.T, method, path, body string, headers ...string) *recorder {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.1:1000"
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	h.ServeHTTP(w, r)
	return w
}

// publish opens a session and returns its path and the answer.
func (h *testServer) publish(t *testing.T, path, offer string) (location, answer string) {
	t.Helper()
	w := h.request(t, http.MethodPost, path, offer, "Content-Type", "application/sdp")
	if w.status != http.StatusCreated {
		t.Fatalf("got %d %s, want 201", w.status, w.body.String())
	}
	return w.header.Get("Location"), w.body.String()
}
