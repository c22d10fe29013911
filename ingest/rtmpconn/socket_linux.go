package rtmpconn

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SetUserTimeout bounds how long sent bytes may stay unacknowledged by TCP. Keepalive alone does
// not suffice: unacknowledged data would keep a dead connection open for minutes.
func SetUserTimeout(raw syscall.RawConn, d time.Duration) error {
	return setOption(raw, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}

// LimitUnsent bounds the number of unsent bytes that the kernel holds, so that the relay decides as
// late as possible what a slow peer gets.
func LimitUnsent(raw syscall.RawConn, bytes int) error {
	return setOption(raw, unix.TCP_NOTSENT_LOWAT, bytes)
}

// clampWindow bounds the receive window that the peer sees, in bytes.
func clampWindow(raw syscall.RawConn, bytes int) error {
	return setOption(raw, unix.TCP_WINDOW_CLAMP, bytes)
}

// UnreadBytes returns the number of received bytes that wait in the socket. It returns 0 if the
// number is unknown or raw is nil.
func UnreadBytes(raw syscall.RawConn) int {
	if raw == nil {
		return 0
	}
	n := 0
	_ = raw.Control(func(fd uintptr) {
		if waiting, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ); err == nil { //nolint:gosec // a descriptor
			n = waiting
		}
	})
	return n
}

func setOption(raw syscall.RawConn, option, value int) error {
	if raw == nil {
		return nil
	}
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, option, value) //nolint:gosec // a descriptor
	})
	if err != nil {
		return err
	}
	return failed
}
