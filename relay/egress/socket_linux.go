package egress

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsentLimit is the maximum number of unsent bytes in the kernel per viewer. Without it, the
// kernel would buffer seconds of media for a slow viewer, and the relay could not skip these.
const unsentLimit = 64 << 10

// LimitUnsent bounds the unsent bytes that the kernel buffers for a viewer. It does nothing if
// the system or the connection does not support that.
func LimitUnsent(c net.Conn) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLimit) //nolint:gosec // a descriptor fits
	})
}
