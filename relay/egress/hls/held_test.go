package hls

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
	"github.com/holdfast-live/holdfast/testmedia"
	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/m3u8"
)

// A stream that is held for longer than the playlist and the buffer last has no discontinuity
// and no part above the part target, and a viewer that joins then finds a keyframe.
func TestHeldLong(t *testing.T) {
	for name, o := range map[string]gen.Options{"both": {}, "video alone": {NoAudio: true}} {
		t.Run(name, func(t *testing.T) {
			story(t, func(b *bench) { b.config.Hold = 5 * time.Minute }, func(b *bench) {
				p := b.publish(o)
				p.run(t, 5*time.Second)
				c := b.client()
				if o.NoAudio {
					c.v.MaxShort = 2 // at the break and at the return
				}
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
					v := b.channels["live/cam"].view.Load()
					for _, s := range v.listed() {
						if s.independent {
							keys++
						}
					}
					if keys == 0 {
						t.Error("no keyframe for a viewer that joins")
					}
				}
				o.Source = 1
				p = b.publish(o)
				p.run(t, 8*time.Second)
				stop()
				if c.discontinuities() != 0 || c.inits() != 1 || c.statuses[503] > 0 {
					t.Errorf("got %d discontinuities, %d init sections, statuses %v", c.discontinuities(), c.inits(), c.statuses)
				}
			})
		})
	}
}

// mute returns the clip without audio, and with one in every frames of its video.
func mute(every int) func() *packetbuf.Packet {
	loop, n := testmedia.NewLoop(0), 0
	return func() *packetbuf.Packet {
		for {
			p := loop.Next()
			if p.Kind == packetbuf.Key {
				n = 0
			}
			switch {
			case p.Track != packetbuf.Video:
			case p.Kind == packetbuf.Config:
				return p
			default:
				if n++; n%every == 1%every {
					return p
				}
			}
		}
	}
}

// Without audio, held for however long, parts are neither above the part target nor below the
// minimum, except for one where the frame rate changes. The same holds for a publisher that
// returns with a few frames per second.
func TestHeldWithoutAudio(t *testing.T) {
	story(t, nil, func(b *bench) {
		const breaks = 25
		p := b.publishes(mute(1))
		p.run(t, 9*time.Second)
		c := b.client()
		c.v.MaxShort = 2 * breaks
		stop := c.playing()
		for i := range breaks {
			p.run(t, 4*time.Second+time.Duration(i)*140*time.Millisecond)
			p.sink.End(ingest.Reset, "")
			time.Sleep(3*time.Second + time.Duration(i)*9*time.Millisecond)
			p = b.publishes(mute(1))
		}
		p.run(t, 2*time.Second)
		stop()
		p.sink.End(ingest.Reset, "")
		slow := b.client()
		slow.v.MaxShort = math.MaxInt // the frame rate changes for good
		stop = slow.playing()
		p = b.publishes(mute(8))
		p.run(t, 20*time.Second)
		stop()
		if c.discontinuities() != 0 || c.inits() != 1 || c.v.PartTarget > "0.5" {
			t.Errorf("got %d discontinuities, %d init sections, part target %s", c.discontinuities(), c.inits(), c.v.PartTarget)
		}
	})
}

// For codecs for which no frame can be synthesized, a keyframe is repeated once a second:
// without audio parts have to be as long.
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
		l := newSegmenter(Settings{Segment: 2 * time.Second, Part: 200 * time.Millisecond, Window: 7}, 0, 0, func() string { n++; return strconv.Itoa(n) })
		l.add(&cmaf.Chunk{Init: true, Info: &tt.info}, false)
		for i := range 50 {
			l.add(&cmaf.Chunk{Info: &tt.info, Start: time.Duration(i) * 100 * time.Millisecond, Duration: 100 * time.Millisecond, Independent: i%20 == 0, Segment: i%20 == 0, VideoFrames: 3}, false)
		}
		if v := l.view(); (v.partTarget >= time.Second) != tt.want || v.partTarget < 200*time.Millisecond {
			t.Errorf("%s and %s: got part target %v", tt.info.Video, tt.info.Audio, v.partTarget)
		}
	}
}

// There is a part target for any frame durations.
func TestOddFrameDurations(t *testing.T) {
	for _, each := range []time.Duration{0, time.Microsecond, 2500 * time.Millisecond, time.Hour} {
		info := &cmaf.Info{Video: packetbuf.H264}
		l := newSegmenter(Settings{Segment: 2 * time.Second, Part: 200 * time.Millisecond, Window: 7}, 0, 0, newID)
		l.add(&cmaf.Chunk{Init: true, Info: info}, false)
		for i := range 4 {
			l.add(&cmaf.Chunk{Info: info, Duration: each, Independent: true, VideoFrames: 1, Discontinuity: i == 2}, false)
		}
		if v := l.view(); v == nil || v.partTarget < 200*time.Millisecond || v.partTarget > max(maxPartTarget, each) {
			t.Errorf("%v: got view %+v", each, v)
		}
	}
}
