package timeline

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// TestLeapsOfTracks makes each track's clock leap anywhere, alone or with the other's, while packets
// keep arriving steadily. Whatever the publisher's times, no decode time goes back, and none is far
// from its arrival.
func TestLeapsOfTracks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tl Timeline
		var base [2]time.Duration
		leapBy := rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.SampledFrom([]int64{
				rapid.Int64Range(-1<<31, 1<<31-1).Draw(t, "far"), rapid.Int64Range(-20_000, 20_000).Draw(t, "near"),
			}).Draw(t, "ms")) * ms
		})
		base[0] = wrap + leapBy.Draw(t, "start")
		base[1] = base[0]
		last := [2]time.Duration{-1, -1}
		leaps := map[int]int{}
		for range rapid.IntRange(0, 6).Draw(t, "leaps") {
			leaps[rapid.IntRange(1, 400).Draw(t, "frame")] = rapid.IntRange(1, 3).Draw(t, "tracks")
		}
		for i := range 500 {
			at := time.Duration(i) * 40 * ms
			if which := leaps[i]; which > 0 {
				by := leapBy.Draw(t, "by")
				for tr := range base {
					if which&(1<<tr) != 0 {
						base[tr] += by
					}
				}
			}
			for tr, raw := range base {
				p := video(((raw+at)%wrap+wrap)%wrap, at)
				p.Track = packetbuf.Track(tr) //nolint:gosec // 0 or 1
				if i == 0 && tr == 0 {
					splice(t, &tl, p)
				} else if !tl.Place(p) {
					t.Fatalf("frame %d of %v: got late, want placed", i, p.Track)
				}
				if p.DTS <= last[tr] {
					t.Fatalf("%v: got %v after %v, want rising times", p.Track, p.DTS, last[tr])
				}
				last[tr] = p.DTS
			}
			// A plausible leap is believed; there are at most six of them, and the start.
			for tr := range last {
				if off := last[tr] - at; off < -7*maxStepBack || off > 7*(maxLead+maxStepBack) {
					t.Fatalf("frame %d of track %d: got %v off the wall clock", i, tr, off)
				}
			}
		}
	})
}
