package egress

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsentLimit is how much the kernel may hold of what a viewer has not been sent: without it
// a slow viewer's seconds of backlog stand where no policy sees them.
const unsentLimit = 64 << 10

// LimitUnsent bounds what the kernel holds unsent for a viewer. Where the system or the
// connection has no such thing, nothing happens.
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
