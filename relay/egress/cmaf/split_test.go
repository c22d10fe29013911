package cmaf

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// Splitting any chunk at any place keeps its content and order, and the second half starts where
// the first one ends.
func TestSplit(t *testing.T) {
	for name, o := range map[string]gen.Options{"both": {BFrames: 2}, "25": {FPS: 25}, "sound": {NoVideo: true}, "pictures": {NoAudio: true}} {
		t.Run(name, func(t *testing.T) {
			for most := 20 * time.Millisecond; most < 120*time.Millisecond; most += 15 * time.Millisecond {
				in := media(o, 4*time.Second)
				r, splits := &reader{}, 0
				for _, c := range cutAll(t, in) {
					head, tail := c.Split(0, most)
					if head == nil {
						head = c
					}
					before := r.seq
					if err := r.add(head); err != nil {
						t.Fatal(err)
					}
					if tail == nil {
						continue
					}
					splits++
					if first, second, third := fragmentSequence(head), fragmentSequence(tail), fragmentSequence(c)+2; first >= second || second >= third {
						t.Fatalf("fragment numbers %d and %d before %d do not increase", first, second, third)
					}
					if head.Duration > most || head.Duration <= 0 || head.Duration+tail.Duration != c.Duration || !tail.Wall.Equal(epoch.Add(tail.Start)) ||
						head.VideoFrames+tail.VideoFrames != c.VideoFrames || head.Independent != c.Independent || tail.Discontinuity {
						t.Fatalf("at most %v of %v: got halves of %v and %v", most, c.Duration, head.Duration, tail.Duration)
					}
					r.seq = before // both halves have the sequence number of the chunk
					if err := r.add(tail); err != nil {
						t.Fatal(err)
					}
				}
				r.expect(t, in)
				if splits == 0 && most > 45*time.Millisecond && most < 80*time.Millisecond {
					t.Errorf("no chunk was split at %v", most)
				}
			}
		})
	}
}

// fragmentSequence returns the sequence number in a chunk's mfhd, which is the first box in
// moof.
func fragmentSequence(c *Chunk) uint32 { return binary.BigEndian.Uint32(c.Data[8+12:]) }
