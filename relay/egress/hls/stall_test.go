package hls

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A publisher that stalls and continues on the same connection, with or without its backlog,
// violates no rule of the playlist: the squeezed GOP needs no discontinuity.
func TestStallOnOneConnection(t *testing.T) {
	for name, o := range map[string]gen.Options{
		"video and audio": {}, "B-frames": {BFrames: 2, FPS: 60}, "audio alone": {NoVideo: true},
	} {
		for _, stands := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, clock stops %v", name, stands), func(t *testing.T) {
				story(t, nil, func(b *bench) {
					p := b.publish(o)
					p.run(t, 7*time.Second)
					c := b.client()
					c.v.MaxShort = 6 // a part is short where filler begins and where it ends
					stop := c.playing()
					p.run(t, 4*time.Second)
					for _, stall := range []time.Duration{8 * time.Second, 1300 * time.Millisecond, 3 * time.Second} {
						time.Sleep(stall)
						if stands {
							p.began = p.began.Add(stall)
						}
						p.run(t, 8*time.Second)
					}
					stop()
					if c.discontinuities() != 0 || c.inits() != 1 || c.statuses[503] > 0 {
						t.Errorf("got %d discontinuities, %d init sections, statuses %v, want one init section alone", c.discontinuities(), c.inits(), c.statuses)
					}
				})
			})
		}
	}
}
