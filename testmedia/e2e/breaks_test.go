//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestBreaks breaks a push in every way that can be detected at once. The push returns, and no viewer
// leaves, misses a frame or receives one twice.
func TestBreaks(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	const stream = "live/cam"
	resets := map[uint32]bool{1: true, 4: true, 5: true}
	w := streamCheck{t: t, relay: r, pushes: []*publisher{publish(t, r, stream, gen.Options{Source: 1})}}
	w.pushes[0].waitSent(20)
	w.viewers = watchRTMPAndFLV(t, r, stream)
	for n, b := range []struct {
		name  string
		away  time.Duration
		next  gen.Options // options of the push after the break
		cause string
	}{
		{"reset", 1500 * time.Millisecond, gen.Options{Start: 0}, "reset"},
		{"closed", time.Second, gen.Options{Start: 0, BFrames: 2}, "eof"},
		{"closed again", 2500 * time.Millisecond, gen.Options{Start: 40 * time.Minute}, "eof"},
		{"reset, then timestamps near 2^32", time.Second, gen.Options{Start: 1<<32*time.Millisecond - 2*time.Second}, "reset"},
		{"a blip", 200 * time.Millisecond, gen.Options{Start: 0}, "reset"},
	} {
		p := w.pushes[n]
		p.waitSent(230) // 3 s: beyond a second keyframe and 2^32 ms
		if resets[p.source] {
			p.reset()
		} else {
			p.disconnect()
		}
		if l := r.waitBreak(n); l.str("cause") != b.cause || l.str("session") == "" || l.str("stream") != stream {
			t.Errorf("%s: got %s", b.name, l.text)
		}
		sleep(t, b.away)
		b.next.Source = p.source + 1
		w.pushes = append(w.pushes, publish(t, r, stream, b.next))
		r.waitResume(n)
		w.viewers[0].waitFrame(gen.ID{Source: b.next.Source})
		w.viewers[1].waitFrame(gen.ID{Source: b.next.Source})
		clock, key := w.checkClock(p, w.pushes[n+1])
		t.Logf("%s: the clock is %v off, the first keyframe took %v", b.name, clock, key)
	}
	last := w.pushes[len(w.pushes)-1]
	last.waitSent(120)
	last.pause()
	w.waitSettled(last)
	w.checkComplete(resets)
	w.checkCounts()
	t.Logf("lip-sync shifted by %v", w.checkSync())
}

// sleep waits while nothing is expected to happen.
func sleep(t testing.TB, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
