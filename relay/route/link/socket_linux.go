package link

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unsentLimit is how much the system may hold of what has not been sent yet, in bytes: a
// fifth of a second at 1.3 Mb/s. A backlog beyond it shows as a write that waits.
const unsentLimit = 32 << 10

// tune bounds how long sent bytes may go unacknowledged by TCP, and what the system holds
// unsent. A connection that knows no such options goes without.
func tune(raw syscall.RawConn, userTimeout time.Duration) {
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds())) //nolint:gosec // a descriptor
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLimit)                    //nolint:gosec // a descriptor
	})
}

// unreadBytes returns how many bytes wait in the socket; 0 where that is not known.
func unreadBytes(raw syscall.RawConn) int {
	n := 0
	_ = raw.Control(func(fd uintptr) {
		if waiting, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ); err == nil { //nolint:gosec // a descriptor
			n = waiting
		}
	})
	return n
}

// readInfo asks for TCP_INFO. A connected socket has its SYN acknowledged, so a system
// that does not count acknowledged bytes is one that says 0.
func readInfo(raw syscall.RawConn) (tcpInfo, bool) {
	var info *unix.TCPInfo
	var failed error
	err := raw.Control(func(fd uintptr) {
		info, failed = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) //nolint:gosec // a descriptor
	})
	if err != nil || failed != nil || info.Bytes_acked == 0 {
		return tcpInfo{}, false
	}
	return tcpInfo{
		acked: info.Bytes_acked,
		rtt:   time.Duration(info.Rtt) * time.Microsecond, rttvar: time.Duration(info.Rttvar) * time.Microsecond,
		segments: uint64(info.Segs_out), resent: uint64(info.Total_retrans),
	}, true
}
