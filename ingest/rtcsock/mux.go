package rtcsock

import (
	"net"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/transport/v4"
)

// mux is one UDP socket for all peers. It determines its addresses repeatedly, because they can
// change, for example when a laptop changes networks.
type mux struct {
	*ice.UDPMuxDefault
	bound *net.UDPAddr
	conn  *Gathered

	mu      sync.Mutex // guards the fields below
	addrs   []net.Addr
	addrsAt time.Time
}

func newMux(c *net.UDPConn, n transport.Net, log logging.LeveledLogger) *mux {
	bound, _ := c.LocalAddr().(*net.UDPAddr)
	_ = c.SetReadBuffer(socketBuffer)
	_ = c.SetWriteBuffer(socketBuffer)
	out := gather(c)
	return &mux{
		UDPMuxDefault: ice.NewUDPMuxDefault(ice.UDPMuxParams{Logger: log, UDPConn: out, Net: n}),
		bound:         bound, conn: out,
	}
}

// refused returns the number of packets that the system did not accept.
func (m *mux) refused() uint64 { return m.conn.Sent().Refused }

// socketBuffer is the requested size of the kernel's buffers in bytes; the kernel may grant less.
const socketBuffer = 4 << 20

// addressCacheTime is how long the machine's addresses are cached.
const addressCacheTime = 5 * time.Second

// GetListenAddresses implements ice.UDPMux.
func (m *mux) GetListenAddresses() []net.Addr {
	if m.bound == nil || !m.bound.IP.IsUnspecified() {
		return []net.Addr{m.LocalAddr()}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.addrsAt) < addressCacheTime {
		return m.addrs
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return m.addrs
	}
	m.addrs, m.addrsAt = reachable(all, m.bound), time.Now()
	return m.addrs
}

// reachable selects, from all addresses of the machine, those at which peers can reach a socket
// that is bound to all of them. It selects loopback addresses only if there are no others.
func reachable(all []net.Addr, bound *net.UDPAddr) []net.Addr {
	var out, own []net.Addr
	for _, a := range all {
		network, ok := a.(*net.IPNet)
		if !ok || network.IP.IsLinkLocalUnicast() || bound.IP.To4() != nil && network.IP.To4() == nil {
			continue
		}
		at := &net.UDPAddr{IP: network.IP, Port: bound.Port}
		if network.IP.IsLoopback() {
			own = append(own, at)
		} else {
			out = append(out, at)
		}
	}
	if len(out) == 0 {
		return own
	}
	return out
}
