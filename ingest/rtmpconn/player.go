package rtmpconn

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/qos/pacing"
)

// PlayRequest is a player's request for a stream.
type PlayRequest struct {
	App, Name string  // as in the URL, unescaped, without the query
	Token     string  // the play token; a secret
	Protocol  string  // ingest.RTMP or ingest.RTMPS
	Remote    string  // host:port of the peer
	Agent     string  // flashVer, at most 256 bytes
	Codecs    *Codecs // codecs that the player announces; nil if it announces none
	SessionID string
}

// PlayError is the error of Options.OnPlay for a stream that the player cannot play.
type PlayError struct {
	Reason string
	Hint   string // what the viewer can do
}

// Error implements error.
func (e *PlayError) Error() string { return e.Reason + "; " + e.Hint }

// Player is the connection of a peer that plays a stream. Its methods may be called from any
// goroutine.
type Player struct {
	c       *Conn
	stream  uint32
	ended   atomic.Bool
	paused  atomic.Bool
	stopped [packetbuf.NumTracks]atomic.Bool // tracks that the player has switched off
}

// play is a running call of OnPlay.
type play struct {
	player *Player
	cancel context.CancelFunc
	done   chan struct{}
}

// stop ends the call and waits for it.
func (p *play) stop() {
	p.cancel()
	<-p.done
}

// Start tells the player that the stream begins.
func (p *Player) Start() error {
	b := wire.AppendUserControl(nil, wire.EventStreamBegin, p.stream)
	b = append(b, status(p.stream, "status", "NetStream.Play.Reset", "Playing and resetting.")...)
	b = append(b, status(p.stream, "status", "NetStream.Play.Start", "Started playing.")...)
	h := wire.Header{ChunkStream: DataChunkStream, Stream: p.stream, Type: wire.TypeDataAMF0}
	b = wire.AppendMessage(b, h, ChunkSize,
		wire.AppendAMF(nil, wire.String("|RtmpSampleAccess"), wire.Bool(true), wire.Bool(true)))
	return p.c.send(b)
}

// StreamID returns the message stream that the player plays on. It is 1 for nearly all players.
func (p *Player) StreamID() uint32 { return p.stream }

// Write writes complete messages, in chunks of ChunkSize, on DataChunkStream,
// AudioChunkStream and VideoChunkStream. It consumes bufs. After an error the connection ends.
func (p *Player) Write(bufs *net.Buffers) error { return p.c.written(p.c.w.writeBuffers(bufs)) }

// SetWriteTimeout sets how long a write may block before the connection ends.
func (p *Player) SetWriteTimeout(d time.Duration) { p.c.w.setTimeout(d) }

// status sends an onStatus message.
func (p *Player) status(code, description string) error {
	return p.c.send(status(p.stream, "status", code, description))
}

// End tells the player that the stream is over, and ends the connection.
func (p *Player) End(reason string) {
	if p.ended.Swap(true) {
		return
	}
	if p.c.send(p.goodbye(reason)) == nil {
		p.c.stop(ending{cause: ingest.Kick, reason: reason, told: true})
	}
}

// goodbye returns the last messages to a player. They have both status codes that players know for
// the end of a stream.
func (p *Player) goodbye(reason string) []byte {
	b := wire.AppendUserControl(nil, wire.EventStreamEOF, p.stream)
	b = append(b, status(p.stream, "status", "NetStream.Play.UnpublishNotify", reason)...)
	return append(b, status(p.stream, "status", "NetStream.Play.Stop", reason)...)
}

// Receives reports whether the player wants a track. Players switch tracks off and on with
// receiveAudio and receiveVideo.
func (p *Player) Receives(t packetbuf.Track) bool {
	return int(t) >= len(p.stopped) || !p.stopped[t].Load()
}

// Paused reports whether the player has paused.
func (p *Player) Paused() bool { return p.paused.Load() }

// maxUnsent is the maximum number of unsent bytes in the socket of a player.
const maxUnsent = 64 << 10

// startPlay answers a play command.
func (c *Conn) startPlay(stream uint32, cmd wire.Command) error {
	id, ok := c.streamID(float64(stream))
	if !ok {
		return violation("play on message stream %d, which was not created", stream)
	}
	const failed = "NetStream.Play.Failed"
	if c.publish != nil || c.play != nil {
		return c.refuseStatus(id, failed, "a connection publishes or plays one stream at a time")
	}
	if c.opts.OnPlay == nil {
		return c.refuseStatus(id, failed, "nothing is played here")
	}
	if why := c.slot.View(); why != "" {
		c.opts.Refused(ingest.RefusedLimit)
		c.log().Warn("play refused", "outcome", string(ingest.RefusedLimit), "reason", why, "hint", c.slot.Hint())
		return c.refuse(ingest.Kick, status(id, "error", failed, why+"; try again later"), why)
	}
	t := parseTarget(c.peer.app, c.peer.tcURL, cmd.StringArg(1))
	r := PlayRequest{
		App: t.app, Name: t.name, Token: t.token, Protocol: c.opts.Protocol,
		Remote: c.remote, Agent: c.peer.agent, Codecs: c.peer.codecs, SessionID: c.id,
	}
	c.admitted()
	_ = LimitUnsent(rawOf(c.nc), maxUnsent)
	ctx, cancel := context.WithCancel(c.ctx)
	c.play = &play{player: &Player{c: c, stream: id}, cancel: cancel, done: make(chan struct{})}
	_ = c.startPings(pacing.Heartbeat{Fixed: c.opts.Heartbeat(r.App, r.Name), Most: maxPlayerPing}) // an error ends the connection, and ctx
	go c.runPlay(ctx, c.play, r, hostOf(c.peer.tcURL))
	// Keep the memory per viewer small.
	c.r.resize(playerBuffer)
	c.peer.tcURL, c.peer.enhanced, c.peer.codecs = "", nil, nil
	return nil
}

// runPlay calls OnPlay and tells the player the result. host is the host in the player's URL.
func (c *Conn) runPlay(ctx context.Context, p *play, r PlayRequest, host string) {
	defer close(p.done)
	defer p.cancel()
	var err error
	defer func() { c.played(ctx, p.player, r, host, err) }()
	defer c.guard("viewer session", &err)
	err = c.opts.OnPlay(ctx, r, p.player)
}

func (c *Conn) played(ctx context.Context, p *Player, r PlayRequest, host string, err error) {
	var refusal *ingest.Refusal
	var failed *PlayError
	log := func() *slog.Logger { return c.log().With("stream", streamName(r.App, r.Name)) }
	switch {
	case ctx.Err() != nil || p.ended.Load():
	case err == nil:
		p.End("the stream has ended")
	case errors.As(advise(err, target{app: r.App, name: r.Name}, host), &refusal):
		code := "NetStream.Play.Failed"
		if refusal.NotLive {
			code = "NetStream.Play.StreamNotFound"
		}
		log().Info("play refused", "reason", cmp.Or(refusal.Detail, refusal.Reason), "hint", refusal.Hint)
		_ = c.refuseStatus(p.stream, code, refusal.Error())
	case errors.As(err, &failed):
		log().Info("play refused", "reason", failed.Reason, "hint", failed.Hint)
		_ = c.refuseStatus(p.stream, "NetStream.Play.Failed", failed.Error())
	default:
		log().Debug("play failed", "err", err)
		_ = c.refuseStatus(p.stream, "NetStream.Play.Failed", "the stream could not be played")
	}
}

// endPlay ends the play because the player has stopped it. The connection stays open.
func (c *Conn) endPlay() {
	c.play.stop()
	c.pings.stop()
	c.play = nil
}

// playCommand handles the commands of a player while it plays. It ignores unknown commands, because
// an error would make some clients disconnect.
func (c *Conn) playCommand(stream uint32, cmd wire.Command) error {
	if c.play == nil || c.play.player.stream != stream {
		return nil
	}
	p := c.play.player
	switch cmd.Name {
	case "pause", "pauseRaw":
		pause := cmd.BoolArg(1)
		p.paused.Store(pause)
		if pause {
			return p.status("NetStream.Pause.Notify", "Paused.")
		}
		return p.status("NetStream.Unpause.Notify", "Playing again.")
	case "receiveAudio":
		p.stopped[packetbuf.Audio].Store(!cmd.BoolArg(1))
	case "receiveVideo":
		p.stopped[packetbuf.Video].Store(!cmd.BoolArg(1))
	case "seek":
		return p.status("NetStream.Seek.Notify", "The stream is live: there is no other position.")
	}
	return nil
}
