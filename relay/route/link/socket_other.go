//go:build !linux

package link

import "syscall"

// readInfo returns false on this system: only RTMP's acknowledgements tell what has arrived.
func readInfo(syscall.RawConn) (tcpInfo, bool) { return tcpInfo{}, false }
