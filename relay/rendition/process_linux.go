package rendition

import (
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
