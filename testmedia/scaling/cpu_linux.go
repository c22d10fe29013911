package scaling

import (
	"time"

	"golang.org/x/sys/unix"
)

// elapsed returns the processor time of this thread since an arbitrary start. Other load of the machine
// affects it as little as possible.
func elapsed() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return time.Since(start)
	}
	return time.Duration(t.Nano())
}
