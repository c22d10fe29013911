package rendition

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// Each kind of failure is described, with a hint if there is one.
func TestFailuresSayWhy(t *testing.T) {
	for name, c := range map[string]struct {
		f    failure
		want []string
	}{
		"exit status": {failure{err: errExit, exit: "exit status 3"}, []string{"ffmpeg ended: exit status 3", "said=nothing"}},
		"last lines":  {failure{err: errExit, exit: "exit status 1", output: []string{"one", "two"}}, []string{"said=one | two"}},
		"memory": {
			failure{err: errExit, exit: "exit status 1", output: []string{"x: Cannot allocate memory"}, memory: 1 << 30},
			[]string{"limits.child_memory (1024 MiB)"},
		},
		"killed":     {failure{err: errExit, exit: "signal: killed"}, []string{"the kernel's log"}},
		"crash":      {failure{err: errExit, exit: "signal: segmentation fault (core dumped)"}, []string{"it crashed"}},
		"no program": {failure{err: fmt.Errorf("start: %w", &exec.Error{Name: "ffmpeg", Err: exec.ErrNotFound})}, []string{"install ffmpeg"}},
		"no encoder": {failure{err: errExit, output: []string{"Unknown encoder 'libx264'"}}, []string{"libx264 and libopus"}},
		"too slow":   {failure{err: errBehind}, []string{"limits.transcodes"}},
		"hangs":      {failure{err: errSilent}, []string{"CPU"}},
		"other":      {failure{err: errors.New("malformed")}, []string{"malformed"}},
	} {
		got := fmt.Sprint(c.f.attrs()...)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: got %s, want %q in it", name, got, want)
			}
		}
		if strings.Contains(got, "[]") {
			t.Errorf("%s: got %s", name, got)
		}
	}
}
