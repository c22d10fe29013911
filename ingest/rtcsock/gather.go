package rtcsock

import (
	"net"
	"net/netip"
	"time"
)

// Gathered is a UDP socket that sends what is written to one peer in a row together, where
// the system can cut one send into packets: a send costs several times what a packet in it
// does. Packets to one peer keep their order. What was written waits for more of it for
// half a millisecond at the most, or for Flush; on an idle system a timer is up to half a
// millisecond late.
//
// It knows peers only while something waits for them.
type Gathered struct {
	conn *net.UDPConn
	gatherer
}

var _ net.PacketConn = (*Gathered)(nil)

// Sent counts what was written.
type Sent struct {
	Packets uint64 // that were written
	Sends   uint64 // calls of the system that it took
	Waited  uint64 // of those, for the line to drain what the system holds
	// Refused packets the system did not take, as when there is no way there. They are lost,
	// as on the way.
	Refused uint64
}

// ReadFrom is that of the socket.
func (g *Gathered) ReadFrom(b []byte) (int, net.Addr, error) { return g.conn.ReadFrom(b) }

// ReadFromAddrPort is ReadFrom without an allocation.
func (g *Gathered) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	return g.conn.ReadFromUDPAddrPort(b)
}

// WriteTo is WriteToAddrPort.
func (g *Gathered) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok || u == nil {
		return 0, &net.OpError{Op: "write", Net: "udp", Source: g.LocalAddr(), Addr: to, Err: &net.AddrError{Err: "not an address of UDP"}}
	}
	return g.WriteToAddrPort(b, u.AddrPort())
}

// LocalAddr is that of the socket.
func (g *Gathered) LocalAddr() net.Addr { return g.conn.LocalAddr() }

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (g *Gathered) SetDeadline(t time.Time) error { return g.conn.SetDeadline(t) }

// SetReadDeadline is that of the socket.
func (g *Gathered) SetReadDeadline(t time.Time) error { return g.conn.SetReadDeadline(t) }

// SetWriteDeadline ends writes that wait for a full socket.
func (g *Gathered) SetWriteDeadline(t time.Time) error { return g.conn.SetWriteDeadline(t) }

// SetReadBuffer sets how many bytes the system holds unread.
func (g *Gathered) SetReadBuffer(bytes int) error { return g.conn.SetReadBuffer(bytes) }

// SetWriteBuffer sets how many bytes the system holds unsent; writes wait for room in it.
func (g *Gathered) SetWriteBuffer(bytes int) error { return g.conn.SetWriteBuffer(bytes) }
