package link

import "syscall"

// What the system says of a connection that the far side ended: WSAECONNABORTED and
// WSAECONNRESET, of which package syscall names the second alone.
const (
	errReset = syscall.WSAECONNRESET
	errPipe  = syscall.Errno(10053)
)
