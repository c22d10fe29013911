package link

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// readInfo reads TCP_INFO. The SYN of a connected socket has been acknowledged, so 0 acknowledged
// bytes mean that the system does not count them.
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
