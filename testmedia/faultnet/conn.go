package faultnet

import (
	"errors"
	"io"
	"net"
	"time"
)

// Addr is the address of an end of an in-memory connection.
type Addr string

// Network returns "faultnet".
func (a Addr) Network() string { return "faultnet" }

func (a Addr) String() string { return string(a) }

// Conn is one end of an in-memory connection. It behaves like a TCP connection and has a CloseWrite like
// it. Errors other than io.EOF are *net.OpError.
type Conn struct {
	wire          *Wire
	in, out       *pipe
	local, remote Addr
	closed        bool // guarded by wire.mu
}

var _ net.Conn = (*Conn)(nil)

// Read waits until data has arrived.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.opError("read", err)
}

// Write waits until all of b has been sent.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	return n, c.opError("write", err)
}

// opError wraps err as the net package does. An expired deadline compares as os.ErrDeadlineExceeded and is
// a net.Error with Timeout.
func (c *Conn) opError(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// Close ends both directions. Data already written still arrives. After it the other end reads io.EOF, and
// its writes return EPIPE.
func (c *Conn) Close() error {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.out.closeWrite()
	c.detach()
	return nil
}

// Abort ends the connection as the death of a process does, or a linger time of 0: the other end gets
// ECONNRESET. If the direction to it is hung, it gets the error after Thaw.
func (c *Conn) Abort() {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	if c.closed {
		return
	}
	if c.out.hung {
		c.out.resetOnThaw = true
	} else {
		c.wire.apply(Rule{Fault: Reset}, 0)
	}
	c.detach()
}

// detach marks the end as closed. The wire's lock must be held.
func (c *Conn) detach() {
	c.closed = true
	c.out.writeClosed, c.in.readClosed, c.in.readerGone = true, true, true
	c.in.changed.Broadcast()
	c.out.changed.Broadcast()
	c.wire.endClosed()
}

// CloseWrite ends the direction from this end to the other.
func (c *Conn) CloseWrite() error {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.out.closeWrite()
	return nil
}

// LocalAddr returns the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the deadline of Read. It also applies to a Read that is waiting.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(c.in, &c.in.readDeadline, t) }

// SetWriteDeadline sets the deadline of Write. It also applies to a Write that is waiting.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(c.out, &c.out.writeDeadline, t)
}

func (c *Conn) setDeadline(p *pipe, d *deadline, t time.Time) error {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	d.set(p, t)
	return nil
}
