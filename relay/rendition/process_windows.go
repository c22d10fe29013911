package rendition

import (
	"os"
	"syscall"
)

// belowNormal is BELOW_NORMAL_PRIORITY_CLASS: relaying goes before transcoding.
const belowNormal = 0x4000

// attributes give a child a process group of its own and a lower priority. It ends with this
// process because its standard input does.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP | belowNormal, HideWindow: true}
}

// lower has nothing to do: attributes did.
func lower(int) {}

// killGroup ends the child alone: ffmpeg starts no others.
func killGroup(p *os.Process) { _ = p.Kill() }

// limitMemory has nothing to do: maxPixels bounds what a child decodes.
func limitMemory(int, int64) {}

// awaitExit returns false: that a child has exited is seen on Linux alone without reaping it.
func awaitExit(int) bool { return false }
