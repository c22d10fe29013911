//go:build unix

package e2e

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestBreaksLeakNothing checks that sixty breaks of all kinds leak no descriptor and no goroutine.
func TestBreaksLeakNothing(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	const stream = "live/cam"
	first := publish(t, r, stream, gen.Options{Source: 1})
	first.waitSent(20)
	viewers := watchRTMPAndFLV(t, r, stream)
	for _, v := range viewers {
		v.waitKeyframe()
	}
	goroutines, descriptors := r.goroutines(), r.descriptors()
	last := first
	for n := range 60 {
		switch n % 3 {
		case 0:
			last.reset()
		case 1:
			last.disconnect()
		case 2:
			last.unpublish()
		}
		r.waitBreak(n)
		last = publish(t, r, stream, gen.Options{Source: uint32(n + 2)})
		r.waitResume(n)
		last.waitSent(3)
	}
	for _, v := range viewers {
		v.waitFrame(gen.ID{Source: 61})
		v.checkOpen()
	}
	deadline := time.Now().Add(waitLimit)
	for r.goroutines() > goroutines || r.descriptors() > descriptors {
		if time.Now().After(deadline) {
			t.Fatalf("got %d goroutines, before %d; %d descriptors, before %d", r.goroutines(), goroutines, r.descriptors(), descriptors)
		}
		sleep(t, 50*time.Millisecond)
	}
}

func (r *relay) goroutines() int {
	r.t.Helper()
	var n int
	text := fetch(r.t, r.url("admin", "/debug/pprof/goroutine?debug=1"))
	if _, err := fmt.Sscanf(text, "goroutine profile: total %d", &n); err != nil {
		r.t.Fatalf("%v: %s", err, strings.SplitN(text, "\n", 2)[0])
	}
	return n
}

// descriptors returns how many descriptors the relay has open, or 0 if the system does not tell.
func (r *relay) descriptors() int {
	r.t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.cmd.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	return len(open)
}
