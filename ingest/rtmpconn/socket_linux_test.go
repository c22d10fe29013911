package rtmpconn

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// The socket of a player has the options that make the kernel notice a dead peer.
func TestSocketOptions(t *testing.T) {
	srv, addr := serveTCP(t, Options{UserTimeout: 7 * time.Second})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := rtmptest.Handshake(t, nc)
	p.Play("live", "cam")
	s := wait(t, "play", srv.players.began)
	p.Call(0, "getStreamLength", wire.Null{}, wire.String("cam"))
	p.Command("_result")
	want := map[int]int{unix.TCP_USER_TIMEOUT: 7000, unix.TCP_NOTSENT_LOWAT: maxUnsent, unix.TCP_KEEPIDLE: 15, unix.TCP_KEEPINTVL: 5}
	err = rawOf(s.p.c.nc).Control(func(fd uintptr) {
		for option, value := range want {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option); err != nil || got != value {
				t.Errorf("option %d: %d, %v, want %d", option, got, err, value)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
