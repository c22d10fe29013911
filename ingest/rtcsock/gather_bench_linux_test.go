package rtcsock

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
)

// BenchmarkWrite writes frames of ten packets to each of many peers on loopback, as a
// viewer's writer does: the last packet of a frame is shorter.
func BenchmarkWrite(b *testing.B) {
	for _, peers := range []int{1, 100, 500} {
		var far []netip.AddrPort
		for range peers {
			c := newSocket(b, "udp4", "127.0.0.1:0")
			_ = c.SetReadBuffer(1) // nothing is read, so that packets are dropped as early as possible
			far = append(far, c.LocalAddr().(*net.UDPAddr).AddrPort())
		}
		frames := func(b *testing.B, write func([]byte, netip.AddrPort) (int, error)) {
			p := make([]byte, 1200)
			for i := 0; b.Loop(); i++ {
				n := len(p)
				if i%10 == 9 {
					n = 700
				}
				if _, err := write(p[:n], far[i/10%peers]); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.Run(fmt.Sprintf("plain/%d", peers), func(b *testing.B) {
			frames(b, newSocket(b, "udp4", "127.0.0.1:0").WriteToUDPAddrPort)
		})
		b.Run(fmt.Sprintf("gathered/%d", peers), func(b *testing.B) {
			g := gather(newSocket(b, "udp4", "127.0.0.1:0"))
			defer g.Close()
			frames(b, g.WriteToAddrPort)
			s := g.Sent()
			b.ReportMetric(float64(s.Packets)/float64(s.Sends), "packets/send")
		})
	}
}
