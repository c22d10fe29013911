package app

import (
	"testing"
	"testing/fstest"

	"github.com/holdfast-live/holdfast/configs"
)

func TestAvailableMemory(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	machine := file("MemTotal:        8000000 kB\nMemFree:  1 kB\n")
	for name, c := range map[string]struct {
		root fstest.MapFS
		want int64
	}{
		"another system": {fstest.MapFS{}, 0},
		"a machine":      {fstest.MapFS{"proc/meminfo": machine}, 8000000 << 10},
		"version 2, of the group above": {fstest.MapFS{
			"proc/meminfo": machine, "proc/self/cgroup": file("0::/system.slice/holdfast.service\n"),
			"sys/fs/cgroup/system.slice/holdfast.service/memory.max": file("max\n"),
			"sys/fs/cgroup/system.slice/memory.max":                  file("1073741824\n"),
		}, 1 << 30},
		"version 2, in a container": {fstest.MapFS{
			"proc/meminfo": machine, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("536870912\n"),
		}, 512 << 20},
		"version 1": {fstest.MapFS{
			"proc/meminfo": machine, "proc/self/cgroup": file("5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n0::/\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": file("268435456\n"),
		}, 256 << 20},
		"version 1 without a limit": {fstest.MapFS{
			"proc/meminfo": machine, "proc/self/cgroup": file("4:memory:/\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n"),
		}, 8000000 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			if got := availableMemory(c.root); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

// The Go runtime's limit is above that of the media and below the machine's memory.
func TestHeapLimit(t *testing.T) {
	for _, machine := range []int64{512 << 20, 2 << 30, 64 << 30} {
		for _, memory := range []configs.AutoSize{configs.AutoBytes, 64 << 20} {
			cfg := configs.Default()
			cfg.Limits.Memory = memory
			got, media := heapLimit(&cfg, machine), ceiling(&cfg, machine)
			if got <= media || got >= machine {
				t.Errorf("machine %d: a heap of %d, want more than the media's %d and less than the machine's", machine, got, media)
			}
		}
	}
}
