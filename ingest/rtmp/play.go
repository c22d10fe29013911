package rtmp

import (
	"cmp"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// Plays serves players. Play runs in a goroutine of its own for as long as a player is
// to be served; ctx ends when the player leaves. A *ingest.Refusal that it returns
// before PlayConn.Start is told to the player.
type Plays interface {
	Play(ctx context.Context, r PlayRequest, c *PlayConn) error
}

// PlayRequest is a player's wish.
type PlayRequest struct {
	App, Name string // as the URL had them, unescaped, without the query
	Token     string // the play token; a secret
	Protocol  string
	Remote    string  // host:port of the peer
	Agent     string  // flashVer, as the peer says, at most 256 bytes
	Codecs    *Codecs // what the player says it takes; nil: it does not say
	SessionID string
}

// PlayConn is a player's connection. Its methods may be called from any goroutine.
type PlayConn struct {
	c       *conn
	stream  uint32
	started atomic.Bool
	ended   atomic.Bool
	paused  atomic.Bool
	deaf    [packetbuf.NumTracks]atomic.Bool
}

// play is a running Play.
type play struct {
	conn   *PlayConn
	cancel context.CancelFunc
	done   chan struct{}
}

func (p *play) wait() {
	p.cancel()
	<-p.done
}

// Start tells the player that the stream begins.
func (p *PlayConn) Start() error {
	p.started.Store(true)
	b := wire.AppendUserControl(nil, wire.EventStreamBegin, p.stream)
	b = append(b, status(p.stream, "status", "NetStream.Play.Reset", "Playing and resetting.")...)
	b = append(b, status(p.stream, "status", "NetStream.Play.Start", "Started playing.")...)
	h := wire.Header{ChunkStream: DataChunkStream, Stream: p.stream, Type: wire.TypeDataAMF0}
	b = wire.AppendMessage(b, h, chunkSize,
		wire.AppendAMF(nil, wire.String("|RtmpSampleAccess"), wire.Bool(true), wire.Bool(true)))
	return p.c.send(b)
}

// StreamID is the message stream that the player plays on: 1 for nearly all of them.
func (p *PlayConn) StreamID() uint32 { return p.stream }

// ChunkSize is the size of the chunks that the player expects.
func (p *PlayConn) ChunkSize() int { return chunkSize }

// Write writes whole messages, on DataChunkStream, AudioChunkStream and
// VideoChunkStream, and consumes bufs. After an error the connection is ending.
func (p *PlayConn) Write(bufs *net.Buffers) error { return p.c.written(p.c.w.gather(bufs)) }

// SetWriteTimeout changes how long a write may stand still before the player is given up.
func (p *PlayConn) SetWriteTimeout(d time.Duration) { p.c.w.setTimeout(d) }

// Status sends an onStatus message.
func (p *PlayConn) Status(level, code, description string) error {
	return p.c.send(status(p.stream, level, code, description))
}

// End tells the player that the stream is over, and closes the connection.
func (p *PlayConn) End(reason string) {
	if p.ended.Swap(true) {
		return
	}
	if p.c.send(p.farewell(reason)) == nil {
		p.c.stop(ending{cause: ingest.Kick, reason: reason, said: true})
	}
}

// farewell is what a player is told at the end. For most of them the first of the two
// codes that they know ends the stream.
func (p *PlayConn) farewell(reason string) []byte {
	b := wire.AppendUserControl(nil, wire.EventStreamEOF, p.stream)
	b = append(b, status(p.stream, "status", "NetStream.Play.UnpublishNotify", reason)...)
	return append(b, status(p.stream, "status", "NetStream.Play.Stop", reason)...)
}

// Receives tells whether the player wants a track: it may have said that it does not.
func (p *PlayConn) Receives(t packetbuf.Track) bool {
	return int(t) >= len(p.deaf) || !p.deaf[t].Load()
}

// Paused tells whether the player has paused.
func (p *PlayConn) Paused() bool { return p.paused.Load() }

// notSent is how much a player's socket holds that has not been sent.
const notSent = 64 << 10

// startPlay begins a play. The first one takes the connection out of go-rtmp's hands: it
// has nothing more to give a player, and its buffers alone are more than a player may
// cost.
func (c *conn) startPlay(stream uint32, cmd wire.Command) error {
	id, ok := c.known(float64(stream))
	if !ok {
		return violation("play on message stream %d, which was not created", stream)
	}
	if c.pub != nil || c.play != nil {
		why := "a connection publishes or plays one stream at a time"
		return c.refuse(status(id, "error", "NetStream.Play.Failed", why), why)
	}
	if c.srv.o.Plays == nil {
		why := "nothing is played here"
		return c.refuse(status(id, "error", "NetStream.Play.Failed", why), why)
	}
	if why := c.slot.View(); why != "" {
		c.srv.o.Refused(ingest.RefusedLimit)
		c.log().Warn("play refused", "outcome", string(ingest.RefusedLimit), "reason", why, "hint", c.slot.Hint())
		return c.refuse(status(id, "error", "NetStream.Play.Failed", why+"; try again later"), why)
	}
	t := parseTarget(c.peer.app, c.peer.tcURL, cmd.StringArg(1))
	ctx, cancel := context.WithCancel(c.ctx)
	c.play = &play{
		conn: &PlayConn{c: c, stream: id}, cancel: cancel, done: make(chan struct{}),
	}
	r := PlayRequest{
		App: t.app, Name: t.name, Token: t.token, Protocol: c.srv.o.Protocol,
		Remote: c.remote, Agent: c.peer.agent, Codecs: c.peer.codecs, SessionID: c.id,
	}
	c.admitted()
	if c.parted {
		c.runPlay(ctx, r)
		return nil
	}
	c.parted = true
	c.pending = func() { c.runPlay(ctx, r) }
	return nil
}

// servePlayer reads a player in the goroutine of serve, once go-rtmp has let go.
func (c *conn) servePlayer() {
	c.pending()
	c.pending = nil
	c.r.resize(playerBuffer)
	c.peer.tcURL, c.peer.enhanced, c.peer.codecs = "", nil, nil
	c.end(c.readPlayer())
}

func (c *conn) readPlayer() (err error) {
	defer c.guard("messages of an RTMP viewer", &err)
	for {
		m, err := c.next()
		if err != nil {
			return err
		}
		if _, err := c.receive(m); err != nil {
			return err
		}
	}
}

func (c *conn) runPlay(ctx context.Context, r PlayRequest) {
	if tcp := tcpOf(c.nc); tcp != nil {
		_ = setNotSentLowWater(tcp, notSent)
	}
	_ = c.startPings(policy.Heartbeat{Fixed: c.srv.o.Heartbeat(r.App, r.Name), Most: playerMost}) // an error ends the connection, and with it ctx
	p, host := c.play, hostOf(c.peer.tcURL)
	go func() {
		defer close(p.done)
		defer p.cancel()
		var err error
		defer func() { c.played(ctx, p.conn, r, host, err) }()
		defer c.guard("viewer session", &err)
		err = c.srv.o.Plays.Play(ctx, r, p.conn)
	}()
}

// played tells the player what its Play came to; host is where it has connected to.
func (c *conn) played(ctx context.Context, p *PlayConn, r PlayRequest, host string, err error) {
	var refusal *ingest.Refusal
	switch {
	case ctx.Err() != nil || p.ended.Load():
	case err == nil:
		p.End("the stream has ended")
	case errors.As(advise(err, target{app: r.App, name: r.Name}, host), &refusal):
		code := "NetStream.Play.Failed"
		if refusal.NotLive {
			code = "NetStream.Play.StreamNotFound"
		}
		c.log().Info("play refused", "stream", describe(r.App, r.Name), "reason", cmp.Or(refusal.Detail, refusal.Reason), "hint", refusal.Hint)
		_ = c.refuse(status(p.stream, "error", code, refusal.Error()), refusal.Error())
	default:
		c.log().Debug("play failed", "stream", describe(r.App, r.Name), "err", err)
		why := "the stream could not be played"
		_ = c.refuse(status(p.stream, "error", "NetStream.Play.Failed", why), why)
	}
}

// endPlay stops the play that the player has left; the connection stays.
func (c *conn) endPlay() {
	c.play.wait()
	c.pings.stop()
	c.play = nil
}

// playCommand does what a player asks for while it plays. Of a command that is not known
// nothing is said: an error would end some clients.
func (c *conn) playCommand(stream uint32, cmd wire.Command) error {
	if c.play == nil || c.play.conn.stream != stream {
		return nil
	}
	p := c.play.conn
	switch cmd.Name {
	case "pause", "pauseRaw":
		pause := cmd.BoolArg(1)
		p.paused.Store(pause)
		if pause {
			return p.Status("status", "NetStream.Pause.Notify", "Paused.")
		}
		return p.Status("status", "NetStream.Unpause.Notify", "Going on.")
	case "receiveAudio":
		p.deaf[packetbuf.Audio].Store(!cmd.BoolArg(1))
	case "receiveVideo":
		p.deaf[packetbuf.Video].Store(!cmd.BoolArg(1))
	case "seek":
		return p.Status("status", "NetStream.Seek.Notify", "The stream is live: there is nowhere to go.")
	}
	return nil
}
