//go:build unix && !linux

package rendition

import "syscall"

// attributes puts a child into a process group of its own. The child ends with this process
// because its standard input is closed.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// limitMemory does nothing: only Linux can limit another process. maxPixels applies everywhere.
func limitMemory(int, int64) {}

// awaitExit returns false: only Linux can detect the exit of a child without reaping it.
func awaitExit(int) bool { return false }
