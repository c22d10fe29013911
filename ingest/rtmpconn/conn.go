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

// maxStreams is the maximum number of message streams of a connection, including stream 0.
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

	// ctx is done when the connection begins to end.
	ctx    context.Context //nolint:containedctx // it lasts as long as the connection
	cancel context.CancelFunc

	// The fields below are used only by the goroutine of Serve.
	peer      peer
	connected bool
	streams   [maxStreams]bool // message streams that exist
	publishes int              // number of publish commands so far
	publish   *publish         // nil while the peer does not publish
	play      *play            // nil while the peer does not play
	ended     bool             // end has been called
	goodbye   []byte           // the last message to the peer
	commands  rateLimit
	creates   rateLimit
	pongs     rateLimit

	pings pings

	mu        sync.Mutex // guards the fields below
	ending    *ending    // the first reason to end; nil if there is none
	lingering bool       // linger has set the read deadline
	current   *Session   // the session whose Close ends the connection
	tasks     sync.WaitGroup
}

// New returns a connection, which Serve then serves. id must be unique within the process. o must
// be a result of WithDefaults. The connection closes nc and releases slot.
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

// log returns a logger. It is created on demand, because a stored one would cost memory per viewer.
func (c *Conn) log() *slog.Logger {
	return c.opts.Log.With("session", c.id, "remote", c.remote)
}

// Serve serves the connection from its handshake to its end. When it returns, all resources of the
// connection have been released.
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

// secure sets the deadline of the TLS and RTMP handshakes, and performs the TLS handshake if the
// connection uses TLS.
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

// read performs the handshake, then handles messages one by one until the connection ends.
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

// next waits for the next message that the demuxer does not handle itself. It acknowledges received
// bytes.
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

// fill waits for bytes, or until the publisher must be flushed; in that case it flushes the
// publisher. While a message is incomplete, fill does not flush, because the publisher may be
// waiting for that message.
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
	case UnreadBytes(rawOf(c.nc)) > 0: // the relay is late, not the publisher
		return c.r.fill()
	}
	return p.publisher.Flush(time.Now())
}

// send writes complete messages. If it returns an error, the connection is already ending.
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
