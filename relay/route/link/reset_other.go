//go:build !windows

package link

import "syscall"

// Errors of the system for a connection that the peer has closed.
const (
	errReset = syscall.ECONNRESET
	errPipe  = syscall.EPIPE
)
