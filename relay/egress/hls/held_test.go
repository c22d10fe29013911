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

// Held for longer than the playlist and the buffer last: no discontinuity, no part longer than
// was said, and who comes then has a keyframe to begin with.
func TestHeldLong(t *testing.T) {
	for name, o := range map[string]gen.Options{"both": {}, "pictures": {NoAudio: true}} {
		t.Run(name, func(t *testing.T) {
			story(t, func(b *bench) { b.config.Hold = 5 * time.Minute }, func(b *bench) {
				p := b.publish(o)
				p.run(t, 5*time.Second)
				c := b.client()
				if o.NoAudio {
					c.v.Uneven = 2 // as it breaks, and as it is back
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

// mute is the clip without sound, and of its pictures one in every so many.
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

// Pictures without sound, however long they are held: parts are neither longer than was said nor
// shorter than they may be, but for one where the rate of pictures changes. A publisher who comes
// back with a few pictures a second has no part be too long either.
func TestHeldPictures(t *testing.T) {
	story(t, nil, func(b *bench) {
		const breaks = 25
		p := b.publishes(mute(1))
		p.run(t, 9*time.Second)
		c := b.client()
		c.v.Uneven = 2 * breaks
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
		slow.v.Uneven = math.MaxInt // the rate is another for good
		stop = slow.playing()
		p = b.publishes(mute(8))
		p.run(t, 20*time.Second)
		stop()
		if c.discontinuities() != 0 || c.inits() != 1 || c.v.PartTarget > "0.5" {
			t.Errorf("%d discontinuities, %d init sections, parts of %s", c.discontinuities(), c.inits(), c.v.PartTarget)
		}
	})
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
			l.add(&cmaf.Chunk{Info: &tt.info, Start: time.Duration(i) * 100 * time.Millisecond, Duration: 100 * time.Millisecond, Independent: i%20 == 0, Segment: i%20 == 0, VideoFrames: 3}, false)
		}
		if v := l.view(); (v.partTarget >= time.Second) != tt.want || v.partTarget < 200*time.Millisecond {
			t.Errorf("%s and %s: %v", tt.info.Video, tt.info.Audio, v.partTarget)
		}
	}
}

// Whatever pictures are like, there is a part target.
func TestOddPictures(t *testing.T) {
	for _, each := range []time.Duration{0, time.Microsecond, 2500 * time.Millisecond, time.Hour} {
		info := &cmaf.Info{Video: packetbuf.H264}
		l := newList(Settings{Segment: 2 * time.Second, Part: 200 * time.Millisecond, Window: 7}, 0, 0, newID)
		l.add(&cmaf.Chunk{Init: true, Info: info}, false)
		for i := range 4 {
			l.add(&cmaf.Chunk{Info: info, Duration: each, Independent: true, VideoFrames: 1, Discontinuity: i == 2}, false)
		}
		if v := l.view(); v == nil || v.partTarget < 200*time.Millisecond || v.partTarget > max(coarsest, each) {
			t.Errorf("%v: %+v", each, v)
		}
	}
}
