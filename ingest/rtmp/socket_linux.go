package rtmp

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout bounds how long sent bytes may go unacknowledged. It also bounds the
// keepalive: without it, unacknowledged data keeps a dead connection for minutes.
func setUserTimeout(tcp *net.TCPConn, d time.Duration) error {
	return setOption(tcp, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}

// setNotSentLowWater keeps what a player's kernel buffer holds short, so that the
// choice of what to send to a slow one is made here and late.
func setNotSentLowWater(tcp *net.TCPConn, bytes int) error {
	return setOption(tcp, unix.TCP_NOTSENT_LOWAT, bytes)
}

// clampWindow bounds the window that the peer sees, in bytes, whatever the buffer's size.
func clampWindow(tcp *net.TCPConn, bytes int) error {
	return setOption(tcp, unix.TCP_WINDOW_CLAMP, bytes)
}

// unreadBytes returns how many bytes wait in the socket; 0 where that is not known.
func unreadBytes(tcp *net.TCPConn) int {
	if tcp == nil {
		return 0
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	_ = raw.Control(func(fd uintptr) {
		n, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ) //nolint:gosec // a descriptor
	})
	if err != nil {
		return 0
	}
	return n
}

func setOption(tcp *net.TCPConn, option, value int) error {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, option, value) //nolint:gosec // a descriptor
	})
	if err != nil {
		return err
	}
	return failed
}
