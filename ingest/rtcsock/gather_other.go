//go:build !linux

package rtcsock

import (
	"net"
	"net/netip"
	"sync/atomic"
)

// gatherer sends each packet at once on this system.
type gatherer struct {
	packets, refused atomic.Uint64
}

// gather returns a Gathered that takes over c.
func gather(c *net.UDPConn) *Gathered { return &Gathered{conn: c} }

// WriteToAddrPort sends a packet.
func (g *Gathered) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	g.packets.Add(1)
	n, err := g.conn.WriteToUDPAddrPort(b, to)
	if err != nil {
		g.refused.Add(1)
	}
	return n, err
}

// Flush does nothing on this system.
func (g *Gathered) Flush() {}

// Sent returns the counts so far.
func (g *Gathered) Sent() Sent {
	n := g.packets.Load()
	return Sent{Packets: n, Sends: n, Refused: g.refused.Load()}
}

// Close closes the socket.
func (g *Gathered) Close() error { return g.conn.Close() }
