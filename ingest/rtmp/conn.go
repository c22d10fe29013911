package rtmp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// chunkSize is what we send in, announced in the reply to connect.
const chunkSize = 4096

// maxStreams bounds the message streams of a connection, 0 included.
const maxStreams = 8

// use is what a message stream is to go-rtmp.
type use uint8

const (
	unused use = iota
	created
	spent // go-rtmp has answered a publish on it and would not answer another
)

// conn is one accepted connection. At any time one goroutine reads it: go-rtmp's,
// through the gate, until a play begins, then the one that runs serve.
type conn struct {
	srv    *Server
	id     string
	nc     net.Conn
	remote string
	slot   ingest.Slot
	w      *writer
	r      *reader

	// ctx ends when the connection begins to end.
	ctx    context.Context
	cancel context.CancelFunc

	// Of the reading goroutine alone.
	peer      client
	connected bool
	parted    bool // go-rtmp has let go; we answer everything ourselves
	streams   [maxStreams]use
	sessions  int // published so far
	pub       *publication
	over      bool // the ending is settled
	bye       []byte
	commands  bucket
	creates   bucket
	pongs     bucket

	play    *play  // what is played, if anything
	pending func() // starts the first play, once go-rtmp has let go

	pings pings

	mu      sync.Mutex // guards what follows
	ending  *ending    // the first reason to end
	settled bool       // the read deadline is the teardown's
	current *session   // the session that Close may end
	tasks   sync.WaitGroup
}

// log is made when needed: a logger with attributes would be held by every viewer.
func (c *conn) log() *slog.Logger {
	return c.srv.o.Log.With("session", c.id, "remote", c.remote)
}

// serve runs a connection from accept to its end.
func (c *conn) serve() {
	defer c.guard("RTMP connection", nil)
	defer c.r.count(0)
	defer c.close()
	if err := c.secure(); err != nil {
		c.log().Debug("TLS handshake failed", "err", err)
		c.stop(ending{cause: endingOf(err).cause, reason: err.Error(), gone: true})
		return
	}
	c.behindGate()
	if c.parted {
		c.servePlayer()
	}
	c.end(violation("commands out of order")) // unless it has ended: then go-rtmp let go
	c.sayGoodbye()
}

// secure does the TLS handshake, if there is one, within the handshake's time.
func (c *conn) secure() error {
	until := time.Now().Add(c.srv.o.HandshakeTimeout)
	_ = c.nc.SetWriteDeadline(until)
	c.setReadDeadline(until)
	t, ok := c.nc.(*tls.Conn)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.srv.o.HandshakeTimeout)
	defer cancel()
	return t.HandshakeContext(ctx)
}

// next waits for a message that is not the reader's own business.
func (c *conn) next() (*wire.Message, error) {
	for {
		m, err := c.r.message()
		if m != nil || err != nil {
			return m, err
		}
		if c.r.due() {
			c.r.acked = c.r.received
			if err := c.send(wire.AppendAck(nil, c.r.received)); err != nil {
				return nil, err
			}
		}
		c.holdBack()
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// fill waits for bytes, and no longer than a picture that may be whole is held for more of it. A
// message that is on its way may be more of it, or shows that it is whole.
func (c *conn) fill() error {
	p := c.pub
	if p == nil || c.r.demux.Buffered() > 0 {
		return c.r.fill()
	}
	due := p.intake.Due()
	if due.IsZero() {
		return c.r.fill()
	}
	c.setReadDeadline(due)
	err := c.r.fill()
	c.setReadDeadline(time.Time{})
	var ne net.Error
	switch {
	case !errors.As(err, &ne) || !ne.Timeout() || c.ctx.Err() != nil:
		return err
	case unreadBytes(tcpOf(c.nc)) > 0: // this side is late, and not the publisher
		return c.r.fill()
	}
	c.passHeld(p, time.Now())
	return nil
}

// send writes whole messages. An error has already ended the connection.
func (c *conn) send(p []byte) error { return c.written(c.w.write(p)) }

func (c *conn) written(err error) error {
	if err != nil {
		c.stop(endingOf(err))
	}
	return err
}

// stop says why the connection ends and wakes its reader, who sees to it. The first
// reason counts. It does not wait, and may be called from anywhere.
func (c *conn) stop(e ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopLocked(e)
}

func (c *conn) stopLocked(e ending) {
	if c.ending != nil {
		return
	}
	c.ending = &e
	c.cancel()
	if !c.settled {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// setReadDeadline sets it unless the connection is ending; the zero time is none.
func (c *conn) setReadDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending == nil {
		_ = c.nc.SetReadDeadline(t)
	}
}

// admitted ends the time that a stranger has: silence is for the stream to judge from
// here on, and writes have a deadline of their own.
func (c *conn) admitted() {
	c.setReadDeadline(time.Time{})
	c.w.setTimeout(c.srv.o.WriteTimeout)
}

// idle gives a peer that neither publishes nor plays the handshake's time again.
func (c *conn) idle() { c.setReadDeadline(time.Now().Add(c.srv.o.HandshakeTimeout)) }

// end settles why the connection ends: by what stop was told, else by err. The sink is
// told here, in the goroutine that wrote to it. Only the first call has an effect.
func (c *conn) end(err error) {
	if c.over {
		return
	}
	c.over = true
	c.stop(endingOf(err))
	c.mu.Lock()
	e := *c.ending
	c.mu.Unlock()
	if p := c.pub; p != nil {
		if !e.gone && !e.said {
			c.bye = status(p.stream, "error", publishCode(e.cause), e.reason)
		}
		c.unpublish(e.cause, e.reason)
	}
	c.log().Debug("connection ends", "cause", string(e.cause), "reason", e.reason)
}

// sayGoodbye tells the peer why, and closes so that it can read it: a close with bytes
// unread would be a reset, which takes our last words with it.
func (c *conn) sayGoodbye() {
	c.mu.Lock()
	e := *c.ending
	until := time.Now().Add(c.srv.o.Linger)
	if !e.gone {
		c.settled = true
		_ = c.nc.SetDeadline(until)
	}
	c.mu.Unlock()
	if e.gone {
		return
	}
	if p := c.play; p != nil {
		p.wait()
		if !e.said {
			c.bye = p.conn.farewell(e.reason)
		}
	}
	c.w.setTimeout(c.srv.o.Linger)
	if c.bye != nil && c.w.write(c.bye) != nil {
		return
	}
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(until)
	for err := error(nil); err == nil; {
		_, err = c.nc.Read(c.r.buf)
	}
}

// close frees everything. It waits for what the connection started.
func (c *conn) close() {
	c.stop(ending{gone: true})
	_ = c.nc.Close()
	if c.play != nil {
		c.play.wait()
	}
	c.pings.stop()
	c.tasks.Wait()
	c.slot.Release()
	c.srv.forget(c)
}

var errPanic = errors.New("internal error")

// guard, deferred, keeps a panic within this connection. It makes it the error err
// points to. go-rtmp would catch what happens in its message loop and its writer, without
// a word and without a stack, but not what happens in the handshake or at the end.
func (c *conn) guard(in string, err *error) {
	v := recover()
	if v == nil {
		return
	}
	panics.ReportRecovered(c.log(), in, v)
	c.stop(ending{cause: ingest.Protocol, reason: errPanic.Error()})
	if err != nil {
		*err = errPanic
	}
}
