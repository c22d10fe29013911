package rtmp

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// acceptLog is a listener that passes on the connections that it accepts.
type acceptLog struct {
	net.Listener
	conns chan net.Conn
}

func (l *acceptLog) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err == nil {
		l.conns <- nc
	}
	return nc, err
}

// The window towards a publisher is small while it is slowed, and wide again afterwards.
func TestSlowedPublishersWindow(t *testing.T) {
	a := newAccess()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := &acceptLog{l, make(chan net.Conn, 1)}
	serveOn(t, Options{Access: a, SlowPublisher: func(string, string) bool { return true }}, accepted)
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := rtmptest.Handshake(t, nc)
	p.Publish("live", "cam")
	sink := wait(t, "sink", a.sinks)
	s := sink.request.Session.(*session)
	server := (<-accepted.conns).(*net.TCPConn)
	clamp := func() (value int) {
		raw, err := server.SyscallConn()
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
	p.Media(wire.TypeVideo, 0, avcConfig...)
	wait(t, "configuration", sink.packets)
	send := func(from, n int) {
		for i := range n { // 4 kB each, on a clock that is slow enough for the ceiling
			p.Media(wire.TypeVideo, uint32(from+i)*400, append(append([]byte{}, avcKey...), make([]byte, 4000)...)...)
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
