//go:build !linux

package link

import (
	"syscall"
	"time"
)

// tune does nothing: only Linux has the options. The write deadline bounds what a full
// socket can cost, the system's keepalive the rest.
func tune(syscall.RawConn, time.Duration) {}

// unreadBytes is not known here.
func unreadBytes(syscall.RawConn) int { return 0 }

// readInfo tells nothing: what has arrived is known from RTMP's acknowledgements alone.
func readInfo(syscall.RawConn) (tcpInfo, bool) { return tcpInfo{}, false }
