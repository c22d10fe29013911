package link

import "syscall"

// Errors of the system for a connection that the peer has closed: WSAECONNABORTED and
// WSAECONNRESET. Package syscall defines only the second.
const (
	errReset = syscall.WSAECONNRESET
	errPipe  = syscall.Errno(10053)
)
