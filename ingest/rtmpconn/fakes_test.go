package rtmpconn

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/ingest"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server serves the connections of a listener with fake publishers and players.
type server struct {
	opts    Options
	players *players
	// publishers has the publishers that were admitted.
	publishers chan *publisher

	mu    sync.Mutex
	conns map[*Conn]bool
	done  sync.WaitGroup
}

// connections returns the number of connections that are served.
func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *server) each(f func(*Conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		f(c)
	}
}

func (s *server) serve(l net.Listener) {
	slots := ingest.NewSlots(0, 0)
	for n := 0; ; n++ {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		slot, _ := slots.Take(nc.RemoteAddr())
		c := New(nc, strconv.Itoa(n), slot, &s.opts)
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.done.Go(func() {
			c.Serve()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

// serveOn serves a listener until the test ends. Without handlers in the options it has fake
// ones.
func serveOn(t testing.TB, o Options, l net.Listener) *server {
	t.Helper()
	s := &server{players: newPlayers(), publishers: make(chan *publisher, 64), conns: map[*Conn]bool{}}
	if o.OnPublish == nil {
		o.OnPublish = s.publish
	}
	if o.OnPlay == nil {
		o.OnPlay = s.players.play
	}
	s.opts = o.WithDefaults()
	s.done.Go(func() { s.serve(l) })
	t.Cleanup(func() {
		_ = l.Close()
		s.each((*Conn).Abort)
		s.done.Wait()
	})
	return s
}

// serve serves in-memory connections until the test ends.
func serve(t testing.TB, o Options) (*server, *rtmptest.Listener) {
	t.Helper()
	l := rtmptest.Listen()
	return serveOn(t, o, l), l
}

// serveTCP serves connections on the address that it returns until the test ends.
func serveTCP(t testing.TB, o Options) (*server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, o, l), l.Addr().String()
}

// bubble runs f with a server on in-memory connections, in fake time. Channels must be made
// inside, to count as waited for.
func bubble(t *testing.T, o Options, f func(t *testing.T, s *server, l *rtmptest.Listener)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, l := serve(t, o)
		f(t, s, l)
	})
}

// publisher keeps what it takes.
type publisher struct {
	request  ingest.Request
	session  *Session
	messages chan wire.Message
	ended    chan ingest.Cause
}

func (s *server) publish(_ context.Context, r ingest.Request, session *Session) (Publisher, error) {
	p := &publisher{request: r, session: session, messages: make(chan wire.Message, 4096), ended: make(chan ingest.Cause, 8)}
	s.publishers <- p
	return p, nil
}

func (p *publisher) ReceiveMedia(m *wire.Message, _ time.Time) error {
	p.messages <- *m
	return nil
}

func (p *publisher) Due() time.Time                   { return time.Time{} }
func (p *publisher) Flush(time.Time) error            { return errors.New("nothing is due") }
func (p *publisher) End(cause ingest.Cause, _ string) { p.ended <- cause }

// players hands each play to the test, which serves it from its own goroutine; the play ends
// with what is sent on result, or when the player leaves.
type players struct {
	began  chan *served
	result chan error
}

type served struct {
	r    PlayRequest
	p    *Player
	left chan struct{}
}

func newPlayers() *players {
	return &players{began: make(chan *served, 1024), result: make(chan error, 1)}
}

func (ps *players) play(ctx context.Context, r PlayRequest, p *Player) error {
	s := &served{r: r, p: p, left: make(chan struct{})}
	defer close(s.left)
	ps.began <- s
	select {
	case err := <-ps.result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
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
