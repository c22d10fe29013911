//go:build !windows

package link

import "syscall"

// What the system says of a connection that the far side ended.
const (
	errReset = syscall.ECONNRESET
	errPipe  = syscall.EPIPE
)
