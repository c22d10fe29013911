package ingest

import (
	"net"
	"sync"
)

// Listener returns a listener that counts the connections of l against the limits of s. Each
// connection has a method Refusal. If that method returns a reason, the connection has no slot, and
// is open only so that the peer can be told the reason. While 64 such connections are open, further
// ones are closed at once.
func (s *Slots) Listener(l net.Listener) net.Listener { return &slotListener{l, s} }

type slotListener struct {
	net.Listener
	slots *Slots
}

// Accept implements net.Listener.
func (l *slotListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		sl, ok := l.slots.TakeConn(c.RemoteAddr(), func() { _ = c.Close() })
		if ok {
			return newSlotConn(c, sl), nil
		}
		_ = c.Close()
	}
}

// slotConn releases its slot when it is closed.
type slotConn struct {
	net.Conn
	once sync.Once
	slot Slot
}

func (c *slotConn) Close() error {
	c.once.Do(c.slot.Release)
	return c.Conn.Close()
}

// Refusal returns the reason if the connection has no slot because a limit was reached; otherwise
// "".
func (c *slotConn) Refusal() string { return c.slot.Refusal }

// Slot returns the connection's slot.
func (c *slotConn) Slot() Slot { return c.slot }

// newSlotConn returns c as a connection that releases its slot when it is closed. A TCP connection
// remains accessible through NetConn, for writev and socket options.
func newSlotConn(c net.Conn, sl Slot) net.Conn {
	sc := slotConn{Conn: c, slot: sl}
	if tcp, ok := c.(*net.TCPConn); ok {
		return &slotTCP{TCPConn: tcp, slot: &sc}
	}
	return &sc
}

type slotTCP struct {
	*net.TCPConn
	slot *slotConn
}

// Refusal returns the slot's refusal.
func (c *slotTCP) Refusal() string { return c.slot.Refusal() }

// Slot returns the connection's slot.
func (c *slotTCP) Slot() Slot { return c.slot.Slot() }

// NetConn returns the TCP connection, for callers that write several buffers in one system call.
func (c *slotTCP) NetConn() net.Conn { return c.TCPConn }

// Close implements net.Conn.
func (c *slotTCP) Close() error { return c.slot.Close() }
