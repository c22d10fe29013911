//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A push breaks in every way that leaves no doubt, and comes back; nobody who watches leaves,
// misses a frame or sees one twice.
func TestBreaks(t *testing.T) {
	t.Parallel()
	r := start(t)
	const stream = "live/cam"
	resets := map[uint32]bool{1: true, 4: true, 5: true}
	w := watched{t: t, relay: r, pushes: []*publisher{publish(t, r, stream, gen.Options{Source: 1})}}
	w.pushes[0].atLeast(20)
	w.viewers = both(t, r, stream)
	for n, b := range []struct {
		name  string
		away  time.Duration
		next  gen.Options // of the push after the break
		cause string
	}{
		{"reset", 1500 * time.Millisecond, gen.Options{Start: 0}, "reset"},
		{"closed", time.Second, gen.Options{Start: 0, BFrames: 2}, "eof"},
		{"closed again", 2500 * time.Millisecond, gen.Options{Start: 40 * time.Minute}, "eof"},
		{"reset, then timestamps near 2^32", time.Second, gen.Options{Start: 1<<32*time.Millisecond - 2*time.Second}, "reset"},
		{"a blip", 200 * time.Millisecond, gen.Options{Start: 0}, "reset"},
	} {
		p := w.pushes[n]
		p.atLeast(230) // 3 s: past a second keyframe, and past 2^32
		if resets[p.source] {
			p.reset()
		} else {
			p.leave()
		}
		if l := r.broke(n); l.str("cause") != b.cause || l.str("session") == "" || l.str("stream") != stream {
			t.Errorf("%s: %s", b.name, l.text)
		}
		wait(t, b.away)
		b.next.Source = p.source + 1
		w.pushes = append(w.pushes, publish(t, r, stream, b.next))
		r.resumed(n)
		w.viewers[0].saw(gen.ID{Source: b.next.Source})
		w.viewers[1].saw(gen.ID{Source: b.next.Source})
		clock, key := w.bridged(p, w.pushes[n+1])
		t.Logf("%s: the clock is %v off, the first keyframe took %v", b.name, clock, key)
	}
	last := w.pushes[len(w.pushes)-1]
	last.atLeast(120)
	last.halt()
	w.settled(last)
	w.whole(resets)
	w.counted()
	t.Logf("lip-sync moved by %v", w.inSync())
}

// wait lets time pass in which nothing is to happen.
func wait(t testing.TB, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
