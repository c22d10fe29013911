package stream

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// Segments begin at random-access points that are at least as far apart as configured, and as
// near to that as keyframes allow, also while the stream is held.
func TestSegmentsAreMarked(t *testing.T) {
	for name, tt := range map[string]struct {
		o    gen.Options
		want time.Duration
	}{
		"a keyframe each second":  {gen.Options{GOP: 30}, 2 * time.Second},
		"rounded GOPs":            {gen.Options{GOP: 59}, 59 * time.Second / 30},
		"long GOPs":               {gen.Options{GOP: 90}, 3 * time.Second},
		"audio alone":             {gen.Options{NoVideo: true}, 1900 * time.Millisecond},
		"nothing but keyframes":   {gen.Options{GOP: 1}, 1900 * time.Millisecond},
		"B-frames and Opus audio": {gen.Options{GOP: 30, BFrames: 2, AudioCodec: packetbuf.Opus}, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(c *Config) { c.Lag, c.Segment = 0, 2*time.Second }, func(b *bench) {
				p := b.publish(tt.o)
				p.run(time.Second)
				r := b.attach()
				r.WantRepeats()
				var live []*packetbuf.Packet
				for range 20 {
					p.run(time.Second)
					got, _ := drain(t, r)
					live = append(live, got...)
				}
				var marks []time.Duration
				for _, p := range live {
					if p.Flags&packetbuf.Segment == 0 {
						continue
					}
					if p.Kind != packetbuf.Key {
						t.Errorf("a segment begins at %v with %v", p.DTS, p.Kind)
					}
					marks = append(marks, p.DTS)
				}
				if len(marks) < 5 {
					t.Fatalf("%d segments", len(marks))
				}
				for i, at := range marks[1:] {
					if d := at - marks[i] - tt.want; d < -5*time.Millisecond || d > 40*time.Millisecond {
						t.Errorf("a segment of %v; want %v", at-marks[i], tt.want)
					}
				}
				p.sink.End(ingest.Reset, "")
				n := 0
				for range 20 {
					time.Sleep(time.Second)
					held, _ := drain(t, r)
					n += count(held, func(p *packetbuf.Packet) bool { return p.Flags&packetbuf.Segment != 0 })
				}
				if n == 0 {
					t.Error("no segment begins while the stream is held")
				}
			})
		})
	}
}
