package hls

import (
	"strconv"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/m3u8"
)

// Held for longer than the playlist and the buffer last: no discontinuity, no part longer than
// was said, and who comes then has a keyframe to begin with.
func TestHeldLong(t *testing.T) {
	for name, o := range map[string]gen.Options{"both": {}, "pictures": {NoAudio: true}} {
		t.Run(name, func(t *testing.T) {
			story(t, func(b *bench) { b.config.Hold = 5 * time.Minute }, func(b *bench) {
				p := b.publish(o)
				p.run(t, 5*time.Second)
				c := b.client()
				stop := c.playing()
				p.run(t, 5*time.Second)
				p.sink.End(ingest.Reset, "")
				for range 4 {
					time.Sleep(15 * time.Second)
					late, _ := m3u8.Parse(b.get("/live/cam/media.m3u8").Body.String())
					keys := 0
					for _, s := range append(late.Segments, late.Open) {
						for _, part := range s.Parts {
							if m3u8.Attributes(part)["INDEPENDENT"] == "YES" {
								keys++
							}
						}
					}
					v := b.channels["live/cam"].shown.Load()
					for _, s := range v.listed() {
						if s.independent {
							keys++
						}
					}
					if keys == 0 {
						t.Error("nobody can begin")
					}
				}
				o.Source = 1
				p = b.publish(o)
				p.run(t, 8*time.Second)
				stop()
				if c.discontinuities() != 0 || c.inits() != 1 || c.statuses[503] > 0 {
					t.Errorf("%d discontinuities, %d init sections, answers %v", c.discontinuities(), c.inits(), c.statuses)
				}
			})
		})
	}
}

// Of codecs of which no picture can be made a keyframe is shown again once a second: without
// sound a part has to be as long.
func TestPartTarget(t *testing.T) {
	for _, tt := range []struct {
		info cmaf.Info
		want bool
	}{
		{cmaf.Info{Video: packetbuf.HEVC}, true},
		{cmaf.Info{Video: packetbuf.HEVC, Audio: packetbuf.AAC}, false},
		{cmaf.Info{Video: packetbuf.H264}, false},
	} {
		n := 0
		l := newList(Settings{Segment: 2 * time.Second, Part: 200 * time.Millisecond, Window: 7}, 0, 0, func() string { n++; return strconv.Itoa(n) })
		l.add(&cmaf.Chunk{Init: true, Info: &tt.info}, false)
		for i := range 50 {
			l.add(&cmaf.Chunk{Info: &tt.info, Start: time.Duration(i) * 100 * time.Millisecond, Duration: 100 * time.Millisecond, Independent: i%20 == 0}, false)
		}
		if v := l.view(); (v.partTarget >= time.Second) != tt.want || v.partTarget < 200*time.Millisecond {
			t.Errorf("%s and %s: %v", tt.info.Video, tt.info.Audio, v.partTarget)
		}
	}
}
