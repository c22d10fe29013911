//go:build unix

package mse

import (
	"syscall"
	"time"
)

// cpuTime returns the CPU time of this process, which includes that of its clients.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // zero if it fails
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
