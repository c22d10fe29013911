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

// busy runs programs that take all of the processors they can get, until the test ends.
func busy(t testing.TB, n int) {
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

// Beside three busy loops a push breaks in every way, at random, and comes back: a return that
// is accepted loses nothing, and no viewer leaves. It runs alone, so that the stories with times
// to keep do not suffer. E2E_BREAKS says how many breaks there are, and has them differ each
// time.
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
	busy(t, 3)
	r := start(t, "--defaults.takeover", "always")
	const stream = "live/cam"
	resets := map[uint32]bool{}
	w := watched{t: t, relay: r, taken: map[uint32]bool{}, pushes: []*publisher{publish(t, r, stream, gen.Options{Source: 1})}}
	w.pushes[0].atLeast(20)
	w.viewers = both(t, r, stream)
	for n := range breaks {
		p := w.pushes[n]
		p.atLeast(100 + chance.IntN(200))
		next := gen.Options{Source: p.source + 1, GOP: 30 + chance.IntN(90), Start: time.Duration(chance.IntN(1<<32)) * time.Millisecond}
		how := []string{"reset", "leave", "hang", "takeover"}[chance.IntN(4)]
		switch how {
		case "reset":
			resets[p.source] = true
			p.reset()
		case "leave":
			p.leave()
		case "hang":
			p.halt()
		case "takeover":
			w.taken[p.source] = true
		}
		if how != "takeover" {
			r.broke(n)
			wait(t, time.Duration(chance.IntN(2500))*time.Millisecond)
		}
		push := publish(t, r, stream, next)
		w.pushes = append(w.pushes, push)
		r.resumed(n)
		for _, v := range w.viewers {
			v.saw(gen.ID{Source: push.source})
		}
		if how == "takeover" {
			p.halt()
		}
	}
	last := w.pushes[len(w.pushes)-1]
	last.atLeast(120)
	last.halt()
	w.settled(last)
	w.whole(resets)
}
