//go:build !linux

package link

import "syscall"

// readInfo returns false, since it is not implemented on this system. Only RTMP acknowledgements
// show what has arrived.
func readInfo(syscall.RawConn) (tcpInfo, bool) { return tcpInfo{}, false }
