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

// The window towards a publisher is small while it is slowed, and wide again afterwards.
func TestSlowedPublishersWindow(t *testing.T) {
	a := newAccess()
	_, addr := serveTCP(t, Options{Access: a, SlowPublisher: func(string, string) bool { return true }})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := shake(t, nc)
	p.publish("live", "cam")
	sink := wait(t, "sink", a.sinks)
	s := sink.request.Session.(*session)
	clamp := func() (value int) {
		raw, err := tcpOf(s.c.nc).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.Control(func(fd uintptr) {
			value, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP)
		}); err != nil {
			t.Fatal(err)
		}
		return value
	}
	p.media(wire.TypeVideo, 0, avcConfig...)
	wait(t, "configuration", sink.packets)
	send := func(from, n int) {
		for i := range n { // 4 kB each, on a clock that is slow enough for the ceiling
			p.media(wire.TypeVideo, uint32(from+i)*400, append(append([]byte{}, avcKey...), make([]byte, 4000)...)...)
			wait(t, "picture", sink.packets)
		}
	}
	s.Limit(100_000)
	send(0, 30)
	if got := clamp(); got > 64<<10 {
		t.Errorf("while it is slowed the window is %d", got)
	}
	s.Limit(0)
	send(30, 3)
	if got := clamp(); got < 64<<10 {
		t.Errorf("afterwards the window is %d", got)
	}
}
