package link

import "syscall"

// Errors of the system for a connection that the peer has closed: WSAECONNABORTED and
// WSAECONNRESET, of which package syscall names the second alone.
const (
	errReset = syscall.WSAECONNRESET
	errPipe  = syscall.Errno(10053)
)
