package rtcsock

import (
	"net"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newSocket returns a socket on a free port with large system buffers.
func newSocket(t testing.TB, network, addr string) *net.UDPConn {
	t.Helper()
	c, err := new(net.ListenConfig).ListenPacket(t.Context(), network, addr)
	if err != nil {
		t.Skip(err) // no IPv6
	}
	t.Cleanup(func() { _ = c.Close() })
	u := c.(*net.UDPConn)
	_ = u.SetReadBuffer(4 << 20)
	return u
}
