package rtmp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
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
	s := &fakeSink{access: a, request: r, packets: make(chan *packetbuf.Packet, 4096), ended: make(chan ending, 8)}
	a.sinks <- s
	return s, nil
}

type fakeSink struct {
	access  *fakeAccess
	request ingest.Request
	packets chan *packetbuf.Packet
	ended   chan ending
}

func (s *fakeSink) Write(p *packetbuf.Packet) error {
	s.packets <- p
	if s.access.write != nil {
		return s.access.write(s, p)
	}
	return nil
}

func (s *fakeSink) End(cause ingest.Cause, detail string) {
	s.ended <- ending{cause: cause, reason: detail}
}

// playFunc is Plays as a function.
type playFunc func(ctx context.Context, r PlayRequest, c *PlayConn) error

func (f playFunc) Play(ctx context.Context, r PlayRequest, c *PlayConn) error { return f(ctx, r, c) }

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

// pipes is a listener of in-memory connections.
type pipes struct {
	next chan net.Conn
	done chan struct{}
	once sync.Once
}

func newPipes() *pipes { return &pipes{next: make(chan net.Conn), done: make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.next:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "pipe"} }

func (l *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	l.next <- theirs
	return ours
}

// serve runs a server on in-memory connections until the test ends.
func serve(t testing.TB, o Options) (*Server, *pipes) {
	t.Helper()
	l := newPipes()
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

// peer is a bare RTMP client. A goroutine reads all that comes, as a client does that is
// worth its name; answers to pings are the test's to give.
type peer struct {
	t    testing.TB
	nc   net.Conn
	got  chan wire.Message
	done chan error // the error that ended reading
	tx   float64
}

// shake does the handshake on nc and starts reading.
func shake(t testing.TB, nc net.Conn) *peer {
	t.Helper()
	p := &peer{t: t, nc: nc, got: make(chan wire.Message, 4096), done: make(chan error, 1)}
	c0c1 := append([]byte{3}, make([]byte, 1536)...)
	if _, err := nc.Write(c0c1); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(nc, make([]byte, handshakeSize)); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write(make([]byte, 1536)); err != nil {
		t.Fatal(err)
	}
	go p.read()
	return p
}

func (p *peer) read() {
	d := wire.NewDemuxer(wire.DefaultLimits())
	buf := make([]byte, 64<<10)
	for {
		n, err := p.nc.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			var m *wire.Message
			var bad error
			if rest, m, bad = d.Push(rest); bad != nil {
				err = bad
				break
			}
			if m != nil {
				p.got <- *m
			}
		}
		if err != nil {
			p.done <- err
			close(p.got)
			return
		}
	}
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Logf("send: %v", err)
	}
}

// call sends a command; it is the test's to look for an answer.
func (p *peer) call(stream uint32, name string, args ...wire.Value) float64 {
	p.tx++
	h := wire.Header{ChunkStream: 3, Stream: stream, Type: wire.TypeCommandAMF0}
	p.send(wire.AppendMessage(nil, h, wire.DefaultChunkSize,
		wire.AppendCommand(nil, wire.Command{Name: name, Transaction: p.tx, Args: args})))
	return p.tx
}

// command waits for the next command of a name and passes over the rest.
func (p *peer) command(name string) wire.Command {
	p.t.Helper()
	for {
		m, ok := <-p.got
		if !ok {
			p.t.Fatalf("the connection ended before %q came", name)
		}
		if m.Type != wire.TypeCommandAMF0 {
			continue
		}
		c, err := wire.ParseCommand(m.Payload)
		if err != nil {
			p.t.Fatal(err)
		}
		if c.Name == name {
			return c
		}
	}
}

// status waits for the next onStatus and returns its code and description.
func (p *peer) status() (code, description string) {
	p.t.Helper()
	return infoOf(p.command("onStatus"))
}

func infoOf(c wire.Command) (code, description string) {
	o := wire.Properties(c.Arg(1))
	a, _ := o.Find("code").(wire.String)
	b, _ := o.Find("description").(wire.String)
	return string(a), string(b)
}

func (p *peer) connect(app string) {
	p.t.Helper()
	p.call(0, "connect", wire.Object{
		{Key: "app", Value: wire.String(app)},
		{Key: "flashVer", Value: wire.String("test/1")},
		{Key: "tcUrl", Value: wire.String("rtmp://host/" + app)},
	})
	p.command("_result")
}

// publish does all that comes before media.
func (p *peer) publish(app, name string) {
	p.t.Helper()
	p.connect(app)
	p.call(0, "createStream", wire.Null{})
	p.command("_result")
	p.call(1, "publish", wire.Null{}, wire.String(name), wire.String("live"))
	if code, why := p.status(); code != "NetStream.Publish.Start" {
		p.t.Fatal(code, why)
	}
}

// startPlay does all that comes before media.
func (p *peer) startPlay(app, name string) {
	p.t.Helper()
	p.connect(app)
	p.call(0, "createStream", wire.Null{})
	p.command("_result")
	p.call(1, "play", wire.Null{}, wire.String(name), wire.Number(-2))
}

// media sends an audio, video or data message on stream 1.
func (p *peer) media(typ uint8, timestamp uint32, body ...byte) {
	p.send(wire.AppendMessage(nil, wire.Header{ChunkStream: 6, Stream: 1, Type: typ, Timestamp: timestamp},
		wire.DefaultChunkSize, body))
}

var (
	avcConfig = []byte{0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x1e, 1, 0, 2, 0x68, 0xce}
	avcKey    = []byte{0x17, 1, 0, 0, 0, 0, 0, 0, 2, 0x65, 0x88}
	avcDelta  = []byte{0x27, 1, 0, 0, 0, 0, 0, 0, 2, 0x41, 0x9a}
	aacConfig = []byte{0xaf, 0, 0x12, 0x10}
	aacFrame  = []byte{0xaf, 1, 0x21, 0x10}
)
