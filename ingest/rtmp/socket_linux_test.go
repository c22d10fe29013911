package rtmp

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// A player's socket carries the options that the kernel is to act by.
func TestSocketOptions(t *testing.T) {
	ps := newPlays()
	_, addr := serveTCP(t, Options{Access: newAccess(), Plays: ps, UserTimeout: 7 * time.Second})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := shake(t, nc)
	p.startPlay("live", "cam")
	s := wait(t, "play", ps.began)
	p.call(0, "getStreamLength", wire.Null{}, wire.String("cam"))
	p.command("_result")
	raw, err := tcpOf(s.c.c.nc).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]int{unix.TCP_USER_TIMEOUT: 7000, unix.TCP_NOTSENT_LOWAT: notSent, unix.TCP_KEEPIDLE: 15, unix.TCP_KEEPINTVL: 5}
	err = raw.Control(func(fd uintptr) {
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
