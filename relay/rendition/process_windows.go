package rendition

import (
	"os"
	"syscall"
)

// belowNormal is BELOW_NORMAL_PRIORITY_CLASS: relaying takes precedence over transcoding.
const belowNormal = 0x4000

// attributes puts a child into a process group of its own with a lower priority. The child ends
// with this process because its standard input is closed.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP | belowNormal, HideWindow: true}
}

// lower does nothing: attributes sets the priority.
func lower(int) {}

// killGroup kills only the child: ffmpeg starts no other processes.
func killGroup(p *os.Process) { _ = p.Kill() }

// limitMemory does nothing: maxPixels bounds what a child decodes.
func limitMemory(int, int64) {}

// awaitExit returns false: only Linux can detect the exit of a child without reaping it.
func awaitExit(int) bool { return false }
