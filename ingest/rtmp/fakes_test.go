package rtmp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeAccess admits what decide does not refuse, and keeps what it was asked.
type fakeAccess struct {
	decide func(ingest.Request) error // nil: admit
	write  func(s *fakeSink, p *packetbuf.Packet) error

	asked chan ingest.Request
	sinks chan *fakeSink
}

func newAccess() *fakeAccess {
	return &fakeAccess{asked: make(chan ingest.Request, 64), sinks: make(chan *fakeSink, 64)}
}

func (a *fakeAccess) Publish(_ context.Context, r ingest.Request) (ingest.Sink, error) {
	a.asked <- r
	if a.decide != nil {
		if err := a.decide(r); err != nil {
			return nil, err
		}
	}
	s := &fakeSink{access: a, request: r, packets: make(chan *packetbuf.Packet, 4096), ended: make(chan end, 8)}
	a.sinks <- s
	return s, nil
}

type fakeSink struct {
	access  *fakeAccess
	request ingest.Request
	packets chan *packetbuf.Packet
	ended   chan end
}

// end is what a sink is told at the end.
type end struct {
	cause  ingest.Cause
	reason string
}

func (s *fakeSink) Write(p *packetbuf.Packet) error {
	s.packets <- p
	if s.access.write != nil {
		return s.access.write(s, p)
	}
	return nil
}

func (s *fakeSink) End(cause ingest.Cause, detail string) {
	s.ended <- end{cause, detail}
}

// players hands each play to the test; the play ends when the player leaves.
type players struct{ began chan *served }

type served struct {
	player *rtmpconn.Player
	left   chan struct{}
}

func newPlayers() *players { return &players{began: make(chan *served, 1024)} }

func (ps *players) play(ctx context.Context, _ rtmpconn.PlayRequest, p *rtmpconn.Player) error {
	s := &served{player: p, left: make(chan struct{})}
	defer close(s.left)
	ps.began <- s
	<-ctx.Done()
	return ctx.Err()
}

// wait receives from ch, or fails the test.
func wait[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

// serve runs a server on in-memory connections until the test ends.
func serve(t testing.TB, o Options) (*Server, *rtmptest.Listener) {
	t.Helper()
	l := rtmptest.Listen()
	return serveOn(t, o, l), l
}

func serveOn(t testing.TB, o Options, l net.Listener) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-served; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
	return s
}

func serveTCP(t testing.TB, o Options) (*Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, o, l), l.Addr().String()
}

// logs collects log lines.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

var (
	avcConfig = []byte{0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x1e, 1, 0, 2, 0x68, 0xce}
	avcKey    = []byte{0x17, 1, 0, 0, 0, 0, 0, 0, 2, 0x65, 0x88}
	avcDelta  = []byte{0x27, 1, 0, 0, 0, 0, 0, 0, 2, 0x41, 0x9a}
	aacConfig = []byte{0xaf, 0, 0x12, 0x10}
	aacFrame  = []byte{0xaf, 1, 0x21, 0x10}
)
