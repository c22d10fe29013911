package rendition

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes puts a child into its own process group, and makes the system kill it when this process
// ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// limitMemory limits the address space of a newly started child, and disables its core dumps.
func limitMemory(pid int, bytes int64) {
	limit := unix.Rlimit{Cur: uint64(bytes), Max: uint64(bytes)} //nolint:gosec // not negative
	_ = unix.Prlimit(pid, unix.RLIMIT_AS, &limit, nil)
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
}

// awaitExit waits until a child has exited. It does not reap the child, so that its process ID is
// not reused. It reports whether that succeeded.
func awaitExit(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}
