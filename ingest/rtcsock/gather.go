package rtcsock

import (
	"net"
	"net/netip"
	"time"
)

// Gathered is a UDP socket that sends consecutive packets to one peer with a single system call, if
// the system can split a send into packets. A system call costs several times as much as one packet
// in it. Packets to one peer keep their order. A packet waits for others for at most half a
// millisecond, or until Flush. On an idle system, the timer may fire up to half a millisecond late.
//
// Gathered keeps state for a peer only while packets to that peer wait.
type Gathered struct {
	conn *net.UDPConn
	gatherer
}

var _ net.PacketConn = (*Gathered)(nil)

// Sent counts packets and sends.
type Sent struct {
	Packets uint64 // packets written
	Sends   uint64 // system calls
	Waited  uint64 // system calls that waited for room in the socket buffer
	// Refused counts packets that the system did not accept, for example because there is no route
	// to the peer. They are lost.
	Refused uint64
}

// ReadFrom reads from the socket.
func (g *Gathered) ReadFrom(b []byte) (int, net.Addr, error) { return g.conn.ReadFrom(b) }

// ReadFromAddrPort is ReadFrom without allocation.
func (g *Gathered) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	return g.conn.ReadFromUDPAddrPort(b)
}

// WriteTo is WriteToAddrPort for a *net.UDPAddr.
func (g *Gathered) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok || u == nil {
		return 0, &net.OpError{Op: "write", Net: "udp", Source: g.LocalAddr(), Addr: to, Err: &net.AddrError{Err: "not an address of UDP"}}
	}
	return g.WriteToAddrPort(b, u.AddrPort())
}

// LocalAddr returns the socket's local address.
func (g *Gathered) LocalAddr() net.Addr { return g.conn.LocalAddr() }

// SetDeadline sets the read and write deadlines.
func (g *Gathered) SetDeadline(t time.Time) error { return g.conn.SetDeadline(t) }

// SetReadDeadline sets the socket's read deadline.
func (g *Gathered) SetReadDeadline(t time.Time) error { return g.conn.SetReadDeadline(t) }

// SetWriteDeadline sets the deadline of writes that wait for room in the socket buffer.
func (g *Gathered) SetWriteDeadline(t time.Time) error { return g.conn.SetWriteDeadline(t) }

// SetReadBuffer sets the size of the system's receive buffer.
func (g *Gathered) SetReadBuffer(bytes int) error { return g.conn.SetReadBuffer(bytes) }

// SetWriteBuffer sets the size of the system's send buffer; writes wait for room in it.
func (g *Gathered) SetWriteBuffer(bytes int) error { return g.conn.SetWriteBuffer(bytes) }
