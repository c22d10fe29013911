package scaling

import (
	"time"

	"golang.org/x/sys/unix"
)

// elapsed returns a time that only differences mean anything of: the processor time of this thread,
// so that what else the machine does counts as little as it can.
func elapsed() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return time.Since(start)
	}
	return time.Duration(t.Nano())
}
