package stream

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

// Between a publisher and one that takes over from it there is no hole in the presentation times, however late
// the keyframe of the second comes: Media Source would end its buffered range there, and players that do not
// jump over it would stop.
func TestTakeoverLeavesNoHoleInPresentationTimes(t *testing.T) {
	bridged := 0
	for frames := range 8 {
		for _, late := range []time.Duration{0, 100 * time.Millisecond} { // of the second publisher's keyframe
			t.Run(fmt.Sprintf("%d frames, %v late", frames, late), func(t *testing.T) {
				story(t, func(c *Config) { c.Takeover, c.Lag = lifecycle.Always, 0 }, func(b *bench) {
					const step = 40 * time.Millisecond
					first := b.publishClip()
					first.until(t, 3*time.Second+time.Duration(frames)*step)
					r, err := b.Attach("httpflv")
					if err != nil {
						t.Fatal(err)
					}
					defer r.Close()
					time.Sleep(late)
					b.publishClip().until(t, 2*time.Second)
					packets, _ := drain(t, r)
					video := videoFrames(packets)
					var shown []time.Duration
					lastDTS := time.Duration(-1)
					for _, p := range video {
						if p.DTS <= lastDTS {
							t.Errorf("DTS %v after %v", p.DTS, lastDTS)
						}
						lastDTS = p.DTS
						shown = append(shown, p.PTS())
						if isFiller(p) {
							bridged++
						}
					}
					slices.Sort(shown)
					for i := range shown[1:] {
						if hole := shown[i+1] - shown[i]; hole > 2*step {
							t.Errorf("%v between frames that are shown at %v and %v, want at most %v", hole, shown[i], shown[i+1], 2*step)
						}
					}
				})
			})
		}
	}
	if bridged == 0 {
		t.Error("no takeover left a hole, want some to be bridged")
	}
}
