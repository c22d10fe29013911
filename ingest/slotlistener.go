package ingest

import (
	"net"
	"sync"
)

// Listener counts the connections of l, which speak another protocol, against the same
// bounds. One that gets no slot has a method Refusal, which says why if it is not empty: such a
// connection is there to be told so and for nothing else, and past 64 at a time there are none.
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

// slotConn gives its slot back when it is closed.
type slotConn struct {
	net.Conn
	once sync.Once
	slot Slot
}

func (c *slotConn) Close() error {
	c.once.Do(c.slot.Release)
	return c.Conn.Close()
}

// Refusal says which bound the connection has met; empty: none.
func (c *slotConn) Refusal() string { return c.slot.Refusal }

// Slot is what the connection got.
func (c *slotConn) Slot() Slot { return c.slot }

// newSlotConn keeps a TCP connection recognisable as one: its writev and its socket options
// are worth more than a wrapper.
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

// Refusal is the slot's.
func (c *slotTCP) Refusal() string { return c.slot.Refusal() }

// Slot is what the connection got.
func (c *slotTCP) Slot() Slot { return c.slot.Slot() }

// NetConn is the connection itself, for who writes much.
func (c *slotTCP) NetConn() net.Conn { return c.TCPConn }

// Close implements net.Conn.
func (c *slotTCP) Close() error { return c.slot.Close() }
