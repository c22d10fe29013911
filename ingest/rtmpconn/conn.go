package rtmpconn

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// maxStreams bounds the message streams of a connection, 0 included.
const maxStreams = 8

// Conn is one accepted connection.
type Conn struct {
	opts   *Options
	id     string
	nc     net.Conn
	remote string
	slot   ingest.Slot
	w      *writer
	r      *reader

	// ctx ends when the connection begins to end.
	ctx    context.Context //nolint:containedctx // it is the connection's life
	cancel context.CancelFunc

	// The goroutine of Serve owns what follows.
	peer      peer
	connected bool
	streams   [maxStreams]bool // message streams that exist
	publishes int              // that were asked for so far
	publish   *publish         // what the peer publishes, nil: nothing
	play      *play            // what it plays, nil: nothing
	ended     bool             // end has been called
	goodbye   []byte           // the last message to the peer
	commands  rateLimit
	creates   rateLimit
	pongs     rateLimit

	pings pings

	mu        sync.Mutex // guards what follows
	ending    *ending    // the first reason to end
	lingering bool       // the read deadline is that of the last messages
	current   *Session   // the session that may end the connection
	tasks     sync.WaitGroup
}

// New returns a connection that Serve serves. Its id must be unique in the life of the
// process; o is as WithDefaults returns it. The connection closes nc and releases slot.
func New(nc net.Conn, id string, slot ingest.Slot, o *Options) *Conn {
	ctx, cancel := context.WithCancel(context.Background())
	keepAlive(nc, o.UserTimeout)
	return &Conn{
		opts: o, id: id, nc: nc, remote: nc.RemoteAddr().String(), slot: slot,
		w: newWriter(nc, o.WriteTimeout), r: newReader(nc, o.Reassembly),
		ctx: ctx, cancel: cancel,
		commands: rateLimit{rate: 50, burst: 200},
		creates:  rateLimit{rate: 2, burst: 20},
		pongs:    rateLimit{rate: 5, burst: 20},
	}
}

// log makes a logger when it is needed: every viewer would hold one with attributes.
func (c *Conn) log() *slog.Logger {
	return c.opts.Log.With("session", c.id, "remote", c.remote)
}

// Serve serves the connection from its handshake to its end. When it returns, nothing of the
// connection is left.
func (c *Conn) Serve() {
	defer c.guard("RTMP connection", nil)
	defer c.r.account(0)
	defer c.close()
	if err := c.secure(); err != nil {
		c.log().Debug("TLS handshake failed", "err", err)
		c.stop(ending{cause: endingOf(err).cause, reason: err.Error(), gone: true})
		return
	}
	c.end(c.read())
	c.linger()
}

// Stop ends the connection after telling the peer the reason. It does not wait.
func (c *Conn) Stop(cause ingest.Cause, reason string) {
	c.stop(ending{cause: cause, reason: reason})
}

// Abort closes the connection without a message to the peer. It does not wait.
func (c *Conn) Abort() { _ = c.nc.Close() }

// secure does the TLS handshake if there is one. The time for the handshakes begins.
func (c *Conn) secure() error {
	until := time.Now().Add(c.opts.HandshakeTimeout)
	_ = c.nc.SetWriteDeadline(until)
	c.setReadDeadline(until)
	t, ok := c.nc.(*tls.Conn)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.opts.HandshakeTimeout)
	defer cancel()
	return t.HandshakeContext(ctx)
}

// read does the handshake, then handles messages one by one until the connection ends.
func (c *Conn) read() (err error) {
	defer c.guard("messages of an RTMP peer", &err)
	if err := ServerHandshake(c.r, c.w); err != nil {
		return err
	}
	for {
		m, err := c.next()
		if err != nil {
			return err
		}
		if err := c.receive(m); err != nil {
			return err
		}
	}
}

// next waits for a message that is not the reader's own business, and acknowledges what it
// reads.
func (c *Conn) next() (*wire.Message, error) {
	for {
		m, err := c.r.message()
		if m != nil || err != nil {
			return m, err
		}
		if c.r.ackDue() {
			c.r.acked = c.r.received
			if err := c.send(wire.AppendAck(nil, c.r.received)); err != nil {
				return nil, err
			}
		}
		c.pause()
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// fill waits for bytes, but not longer than until the publisher wants to be flushed. A message
// that is incomplete may be what it waits for.
func (c *Conn) fill() error {
	p := c.publish
	if p == nil || c.r.demux.Buffered() > 0 {
		return c.r.fill()
	}
	due := p.publisher.Due()
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
	case UnreadBytes(rawOf(c.nc)) > 0: // this side is late, not the publisher
		return c.r.fill()
	}
	return p.publisher.Flush(time.Now())
}

// send writes complete messages. An error has already ended the connection.
func (c *Conn) send(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	return c.written(c.w.write(p))
}

func (c *Conn) written(err error) error {
	if err != nil {
		c.stop(endingOf(err))
	}
	return err
}
