//go:build unix && !linux

package rendition

import "syscall"

// attributes give a child a process group of its own. It ends with this process because its
// standard input does.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// limitMemory has nothing to do: only Linux bounds another process. maxPixels holds everywhere.
func limitMemory(int, int64) {}

// awaitExit returns false: that a child has exited is seen on Linux alone without reaping it.
func awaitExit(int) bool { return false }
