package rendition

import (
	"os"
	"syscall"
)

// belowNormal is BELOW_NORMAL_PRIORITY_CLASS, because relaying takes precedence over transcoding.
const belowNormal = 0x4000

// attributes puts a child into its own process group with a lower priority. When this process ends,
// the child ends too, because its standard input is closed.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP | belowNormal, HideWindow: true}
}

// lower does nothing, because attributes sets the priority.
func lower(int) {}

// killGroup kills only the child, because ffmpeg starts no other processes.
func killGroup(p *os.Process) { _ = p.Kill() }

// limitMemory does nothing. maxPixels bounds what a child decodes.
func limitMemory(int, int64) {}

// awaitExit returns false, because only Linux can detect the exit of a child without reaping it.
func awaitExit(int) bool { return false }
