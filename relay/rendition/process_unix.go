//go:build unix

package rendition

import (
	"os"
	"syscall"
)

// niceness is the nice value of children, because relaying takes precedence over transcoding.
const niceness = 10

// lower lowers the priority of the process group of a newly started child.
func lower(pid int) { _ = syscall.Setpriority(syscall.PRIO_PGRP, pid, niceness) }

func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
