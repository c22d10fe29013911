//go:build unix

package mse

import (
	"syscall"
	"time"
)

// spent is the time of processors that this process has had, its clients' with it.
func spent() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // zeroes tell that it failed
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
