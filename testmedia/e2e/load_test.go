//go:build unix

package e2e

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// startLoad runs programs that use all of the CPU until the test ends.
func startLoad(t testing.TB, n int) {
	t.Helper()
	for range n {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", "while :; do :; done")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
}

// TestBreaksBesideLoad breaks a push at random in every way beside three busy loops. A return that is
// accepted must lose nothing, and no viewer may leave. The test runs alone, so that tests with time limits
// are not affected. E2E_BREAKS sets the number of breaks, which then differ in each run.
func TestBreaksBesideLoad(t *testing.T) {
	breaks, seed := 6, uint64(1)
	if s := os.Getenv("E2E_BREAKS"); s != "" {
		var err error
		if breaks, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
		seed = uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
	}
	chance := rand.New(rand.NewPCG(seed, 1))
	startLoad(t, 3)
	r := startRelay(t, "--defaults.takeover", "always")
	const stream = "live/cam"
	resets := map[uint32]bool{}
	w := streamCheck{t: t, relay: r, takenOver: map[uint32]bool{}, pushes: []*publisher{publish(t, r, stream, gen.Options{Source: 1})}}
	w.pushes[0].waitSent(20)
	w.viewers = watchRTMPAndFLV(t, r, stream)
	for n := range breaks {
		p := w.pushes[n]
		p.waitSent(100 + chance.IntN(200))
		next := gen.Options{Source: p.source + 1, GOP: 30 + chance.IntN(90), Start: time.Duration(chance.IntN(1<<32)) * time.Millisecond}
		how := []string{"reset", "leave", "hang", "takeover"}[chance.IntN(4)]
		switch how {
		case "reset":
			resets[p.source] = true
			p.reset()
		case "leave":
			p.disconnect()
		case "hang":
			p.pause()
		case "takeover":
			w.takenOver[p.source] = true
		}
		if how != "takeover" {
			r.waitBreak(n)
			sleep(t, time.Duration(chance.IntN(2500))*time.Millisecond)
		}
		push := publish(t, r, stream, next)
		w.pushes = append(w.pushes, push)
		r.waitResume(n)
		for _, v := range w.viewers {
			v.waitFrame(gen.ID{Source: push.source})
		}
		if how == "takeover" {
			p.pause()
		}
	}
	last := w.pushes[len(w.pushes)-1]
	last.waitSent(120)
	last.pause()
	w.waitSettled(last)
	w.checkComplete(resets)
}
