package rendition

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes give a child a process group of its own, and have it end with this process.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// limitMemory bounds the address space of a child that was just started, and its core file.
func limitMemory(pid int, bytes int64) {
	limit := unix.Rlimit{Cur: uint64(bytes), Max: uint64(bytes)} //nolint:gosec // not negative
	_ = unix.Prlimit(pid, unix.RLIMIT_AS, &limit, nil)
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
}

// awaitExit waits until a child has exited, and leaves it to be waited for: until then its id is
// no other's. It reports whether it has.
func awaitExit(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}
