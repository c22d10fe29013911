package hls

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
)

// Segmenters that begin at different points of a stream cut it alike from the first mark on.
func TestSegmentersCutAlike(t *testing.T) {
	info := &cmaf.Info{Video: packetbuf.H264, Audio: packetbuf.AAC}
	cut := func(from int) map[time.Duration]time.Duration {
		l := newSegmenter(Settings{Segment: 2 * time.Second, Part: 200 * time.Millisecond, Window: 20}, 0, 0, newID)
		l.add(&cmaf.Chunk{Init: true, Info: info}, false)
		for i := from; i < 300; i++ { // a keyframe each 700 ms, and every third marked
			l.add(&cmaf.Chunk{Info: info, Start: time.Duration(i) * 100 * time.Millisecond, Duration: 100 * time.Millisecond, Independent: i%7 == 0, Segment: i%21 == 0, VideoFrames: 3}, false)
		}
		out := map[time.Duration]time.Duration{}
		for _, s := range l.complete {
			out[s.start] = s.duration
		}
		return out
	}
	whole := cut(0)
	for _, from := range []int{7, 14, 35, 42} {
		for start, duration := range cut(from) {
			if start == time.Duration(from)*100*time.Millisecond && from%21 != 0 {
				continue // the first, up to the first mark
			}
			if whole[start] != duration {
				t.Errorf("from packet %d: segment at %v: got %v, want %v", from, start, duration, whole[start])
			}
		}
	}
}
