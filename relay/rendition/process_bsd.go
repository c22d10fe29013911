//go:build unix && !linux

package rendition

import "syscall"

// attributes puts a child into its own process group. When this process ends, the child ends too,
// because its standard input is closed.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// limitMemory does nothing, because only Linux can limit another process. maxPixels applies on all
// systems.
func limitMemory(int, int64) {}

// awaitExit returns false, because only Linux can detect the exit of a child without reaping it.
func awaitExit(int) bool { return false }
