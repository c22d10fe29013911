//go:build unix

package rendition

import (
	"os"
	"syscall"
)

// niceness is what children have of it: relaying goes before transcoding.
const niceness = 10

// lower has the group of a child that was just started give way to others.
func lower(pid int) { _ = syscall.Setpriority(syscall.PRIO_PGRP, pid, niceness) }

func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
