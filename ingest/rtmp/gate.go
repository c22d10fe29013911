package rtmp

import (
	"io"
	"net"
	"sync"

	"github.com/sirupsen/logrus"
	gortmp "github.com/yutopp/go-rtmp"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// handshakeSize is C0, C1 and C2 one way, S0, S1 and S2 the other.
const handshakeSize = 1 + 2*1536

// gate is what go-rtmp takes for the connection. Towards go-rtmp come the handshake's
// bytes and then commands that we have written; from it goes the handshake, and then
// messages, which are written anew so that no header refers to one of another writer.
type gate struct {
	net.Conn // for its addresses only
	c        *conn

	// Of the goroutine that reads.
	expect  int    // handshake bytes that are still to come
	first   bool   // the first byte of the handshake has been looked at
	forward []byte // the rest of a command for go-rtmp

	// The handshake is written by the goroutine that reads, what follows by go-rtmp's
	// other one, which it starts messages for only later.
	greeting []byte
	greeted  int
	demux    *wire.Demuxer
	replied  bool // connect has been answered

	streamer *gortmp.ChunkStreamer
	let      chan struct{} // closed when go-rtmp lets go
	letGo    bool
}

// behindGate hands the connection to go-rtmp and waits until it lets go of it.
func (c *conn) behindGate() {
	g := &gate{
		Conn: c.nc, c: c, expect: handshakeSize, demux: wire.NewDemuxer(strangerLimits()),
		let: make(chan struct{}),
	}
	if !c.srv.gates.offer(g) {
		return
	}
	<-g.let
	if g.streamer != nil {
		<-g.streamer.Done() // its writing goroutine
	}
}

// Read gives go-rtmp bytes of the handshake or of one command. It asks for more only
// when it is done with what it has, so everything keeps its order in one goroutine.
func (g *gate) Read(p []byte) (n int, err error) {
	defer func() {
		if err != nil && !g.c.parted {
			g.c.end(err)
		}
	}()
	defer g.c.guard("messages of an RTMP peer", &err)
	if g.expect > 0 {
		return g.handshake(p)
	}
	for len(g.forward) == 0 {
		m, err := g.c.next()
		if err != nil {
			return 0, err
		}
		if g.forward, err = g.c.receive(m); err != nil {
			return 0, err
		}
		if g.c.parted {
			return 0, io.EOF // a player: go-rtmp has nothing more to give it
		}
	}
	n = copy(p, g.forward)
	g.forward = g.forward[n:]
	return n, nil
}

func (g *gate) handshake(p []byte) (int, error) {
	r := g.c.r
	if len(r.in) == 0 {
		// Nobody waits for S2 to be alone: all that is due goes in one write.
		if err := g.greet(); err != nil {
			return 0, err
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	if !g.first {
		g.first = true
		if v := r.in[0]; v != 3 {
			return 0, violation("version %d in the handshake, not 3", v)
		}
	}
	n := r.take(p[:min(len(p), g.expect)])
	if g.expect -= n; g.expect == 0 {
		return n, g.greet()
	}
	return n, nil
}

// greet writes what go-rtmp has said of the handshake.
func (g *gate) greet() error {
	if len(g.greeting) == 0 {
		return nil
	}
	p := g.greeting
	g.greeting = nil
	return g.c.send(p)
}

// Write takes go-rtmp's bytes. It never fails towards go-rtmp, which would then block
// for ever; a failure ends the connection from our side.
func (g *gate) Write(p []byte) (n int, err error) {
	defer g.c.guard("answers to an RTMP peer", nil)
	n = len(p)
	if g.greeted < handshakeSize {
		g.greeting = append(g.greeting, p...)
		g.greeted += len(p)
		return n, nil
	}
	for len(p) > 0 {
		var m *wire.Message
		if p, m, err = g.demux.Push(p); err != nil {
			g.c.stop(endingOf(err))
			return n, nil
		}
		if m != nil {
			_ = g.c.send(g.reply(m)) // stops the connection by itself
		}
	}
	return n, nil
}

// reply is what becomes of a message of go-rtmp. Its protocol control and its answer to
// connect give way to ours.
func (g *gate) reply(m *wire.Message) []byte {
	if m.Type != wire.TypeCommandAMF0 {
		return nil
	}
	if !g.replied {
		g.replied = true
		return g.c.peer.reply()
	}
	m.ChunkStream = commandChunkStream
	return wire.AppendMessage(nil, m.Header, chunkSize, m.Payload)
}

// Close is the last that go-rtmp does with a connection. The socket stays ours.
func (g *gate) Close() error {
	if !g.letGo {
		g.letGo = true
		close(g.let)
	}
	return nil
}

// handler is go-rtmp's view of us. All decisions were made before it saw the command.
type handler struct {
	gortmp.DefaultHandler
	g *gate
}

func (h *handler) OnServe(c *gortmp.Conn) { h.g.streamer = c.GetChunkStreamer() }

// gates is the listener from which go-rtmp accepts connections.
type gates struct {
	next  chan *gate
	done  chan struct{}
	close sync.Once
}

func newGates() *gates { return &gates{next: make(chan *gate), done: make(chan struct{})} }

// offer hands g to go-rtmp; false when that is not accepting any more.
func (gs *gates) offer(g *gate) bool {
	select {
	case gs.next <- g:
		return true
	case <-gs.done:
		return false
	}
}

func (gs *gates) Accept() (net.Conn, error) {
	select {
	case g := <-gs.next:
		return g, nil
	case <-gs.done:
		return nil, net.ErrClosed
	}
}

// Close is called by go-rtmp's server, both when it is closed and when Serve ends.
func (gs *gates) Close() error {
	gs.close.Do(func() { close(gs.done) })
	return nil
}

func (gs *gates) Addr() net.Addr { return &net.UnixAddr{Name: "gates", Net: "internal"} }

// silent keeps go-rtmp's log to itself: without a logger it would format every entry.
var silent = func() *logrus.Logger {
	l := logrus.New()
	l.SetLevel(logrus.FatalLevel)
	l.SetOutput(io.Discard)
	return l
}()

func newGoRTMP() *gortmp.Server {
	return gortmp.NewServer(&gortmp.ServerConfig{
		OnConnect: func(nc net.Conn) (io.ReadWriteCloser, *gortmp.ConnConfig) {
			g := nc.(*gate) // nothing else comes out of gates
			return g, &gortmp.ConnConfig{
				Handler:                   &handler{g: g},
				SkipHandshakeVerification: true,
				ReaderBufferSize:          256,
				WriterBufferSize:          256,
				ControlState: gortmp.StreamControlStateConfig{
					MaxMessageStreams: maxStreams,
				},
				Logger: silent,
			}
		},
	})
}
