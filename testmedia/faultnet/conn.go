package faultnet

import (
	"errors"
	"io"
	"net"
	"time"
)

// Addr is the address of an end in memory.
type Addr string

// Network is always "faultnet".
func (a Addr) Network() string { return "faultnet" }

func (a Addr) String() string { return string(a) }

// Conn is one end of a connection in memory. It behaves like a TCP connection, with a
// CloseWrite like one. Errors other than io.EOF are *net.OpError.
type Conn struct {
	wire          *Wire
	in, out       *pipe
	local, remote Addr
	closed        bool // guarded by wire.mu
}

var _ net.Conn = (*Conn)(nil)

// Read waits until something has arrived.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.opError("read", err)
}

// Write waits until all of b is under way.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	return n, c.opError("write", err)
}

// opError dresses err like the net package does. Deadlines compare as os.ErrDeadlineExceeded
// and are a net.Error with Timeout.
func (c *Conn) opError(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// Close ends both directions. What was written still arrives; the other end reads io.EOF
// after it, and gets EPIPE if it writes.
func (c *Conn) Close() error {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.out.end()
	c.leave()
	return nil
}

// Abort ends the connection as the death of a process or a socket's linger time of 0 does:
// the other end gets ECONNRESET, unless the way to it is hung; then it gets it with the
// thaw.
func (c *Conn) Abort() {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	if c.closed {
		return
	}
	if c.out.hung {
		c.out.dying = true
	} else {
		c.wire.apply(Rule{Fault: Reset}, 0)
	}
	c.leave()
}

// leave is called with the lock held.
func (c *Conn) leave() {
	c.closed = true
	c.out.writeClosed, c.in.readClosed, c.in.gone = true, true, true
	c.in.changed.Broadcast()
	c.out.changed.Broadcast()
	c.wire.closed()
}

// CloseWrite ends the direction away from this end.
func (c *Conn) CloseWrite() error {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.out.end()
	return nil
}

// LocalAddr is this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline also ends a Read that waits.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(c.in, &c.in.readDeadline, t) }

// SetWriteDeadline also ends a Write that waits.
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
