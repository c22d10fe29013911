package rendition

import "syscall"

// attributes give a child a process group of its own, and have it end with this process.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
