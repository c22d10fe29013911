package hls

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/m3u8"
)

func (c *client) discontinuities() (n int) {
	for _, s := range c.v.Segments {
		if s.Discontinuity {
			n++
		}
	}
	return n
}

func (c *client) inits() int {
	seen := map[string]bool{}
	for _, s := range c.v.Segments {
		seen[s.Init] = true
	}
	return len(seen)
}

// A steady stream delivers every part as soon as it is complete, and each frame once.
func TestSteady(t *testing.T) {
	for name, o := range map[string]gen.Options{
		"30": {}, "25, GOP of 1 s": {FPS: 25, GOP: 25}, "30, GOP of 1.1 s": {GOP: 33}, "24, GOP of 0.7 s": {FPS: 24, GOP: 17}, "25": {FPS: 25}, "24": {FPS: 24, AudioCodec: packetbuf.Opus}, "29.97": {FPS: 29.97, SampleRate: 44100, BFrames: 2}, "60": {FPS: 60}, "50, GOP of 4 s": {FPS: 50, GOP: 200},
		"sound": {NoVideo: true}, "pictures": {NoAudio: true}, "two a second": {FPS: 2},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, nil, func(b *bench) {
				p := b.publish(o)
				p.run(t, 7*time.Second)
				c := b.client()
				stop := c.playing()
				p.run(t, 40*time.Second)
				if n := b.stream().Audience(); n != 1 {
					t.Errorf("got %d viewers", n)
				}
				stop()
				if c.discontinuities() != 0 || c.inits() != 1 {
					t.Errorf("got %d discontinuities, %d init sections", c.discontinuities(), c.inits())
				}
				tally := c.tally()
				for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
					if lost := tally.Lost(tr, 0); len(lost) > 0 {
						t.Errorf("%s frames lost: %v", tr, lost)
					}
				}
				slices.Sort(c.latency)
				if len(c.latency) < 60 {
					t.Fatalf("got %d parts\n%s", len(c.latency), c.texts[len(c.texts)-1])
				}
				worst := c.latency[len(c.latency)*95/100]
				t.Logf("%s: parts of %s, target %s, latency from a part's start: median %v, 95th %v", name, c.v.PartTarget, c.v.Target, c.latency[len(c.latency)/2], worst)
				if limit := 1000 * time.Millisecond; worst > limit {
					t.Errorf("got worst latency %v", worst)
				}
				if b.metrics.First.Load() != 1 {
					t.Errorf("got %d joins", b.metrics.First.Load())
				}
				time.Sleep(20 * time.Second)
				if n := b.stream().Audience(); n != 0 {
					t.Errorf("got %d viewers after all have left, want 0", n)
				}
			})
		})
	}
}

// A break that the last frame fills has no discontinuity and loses no frame, and no request
// waits.
func TestHeldWithFiller(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(t, 5*time.Second)
		c := b.client()
		stop := c.playing()
		p.run(t, 5*time.Second)
		p.sink.End(ingest.Reset, "")
		time.Sleep(5300 * time.Millisecond)
		p = b.publish(gen.Options{Source: 1})
		p.run(t, 12*time.Second)
		stop()
		if c.discontinuities() != 0 || c.inits() != 1 || c.statuses[503] > 0 {
			t.Errorf("got %d discontinuities, %d init sections, statuses %v", c.discontinuities(), c.inits(), c.statuses)
		}
		tally := c.tally()
		for src := range uint32(2) {
			if lost := tally.Lost(packetbuf.Video, src); len(lost) > 0 || !tally.Has(gen.ID{Track: packetbuf.Video, Source: src, Number: 90}) {
				t.Errorf("source %d: lost frames %v", src, lost)
			}
		}
		if !tally.Has(gen.ID{Track: packetbuf.Video, Source: 1}) || !tally.Has(gen.ID{Track: packetbuf.Video, Source: 0, Number: 299}) {
			t.Error("frames at the break were lost")
		}
	})
}

// In a break without filler, blocked requests return within a bounded time, the playlist stays,
// and the gap is marked by a discontinuity.
func TestHeldWithoutFiller(t *testing.T) {
	story(t, func(b *bench) { b.config.Freeze = false }, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(t, 6*time.Second)
		c := b.client()
		stop := c.playing()
		p.run(t, 5*time.Second)
		p.sink.End(ingest.Reset, "")
		time.Sleep(12 * time.Second)
		w := b.get("/live/cam/media.m3u8")
		if w.Code != 200 || strings.Contains(w.Body.String(), "ENDLIST") {
			t.Errorf("held: got status %d\n%s", w.Code, w.Body.String())
		}
		if c.statuses[503] == 0 {
			t.Errorf("blocked request did not return: got statuses %v", c.statuses)
		}
		p = b.publish(gen.Options{Source: 1})
		p.run(t, 12*time.Second)
		stop()
		if c.discontinuities() != 1 || c.inits() != 1 {
			t.Errorf("got %d discontinuities, %d init sections", c.discontinuities(), c.inits())
		}
		tally := c.tally()
		for src := range uint32(2) {
			if lost := tally.Lost(packetbuf.Video, src); len(lost) > 0 {
				t.Errorf("source %d: lost frames %v", src, lost)
			}
		}
	})
}

// Another configuration, or another codec, has a new init section and a discontinuity.
func TestConfigurationChanges(t *testing.T) {
	for name, o := range map[string]gen.Options{"size": {Source: 1, Width: 640, Height: 360}, "codec of sound": {Source: 1, AudioCodec: packetbuf.Opus}, "rate": {Source: 1, FPS: 25, GOP: 75}} {
		t.Run(name, func(t *testing.T) {
			story(t, nil, func(b *bench) {
				p := b.publish(gen.Options{})
				p.run(t, 6*time.Second)
				c := b.client()
				stop := c.playing()
				p.run(t, 5*time.Second)
				p.sink.End(ingest.Reset, "")
				time.Sleep(700 * time.Millisecond)
				p = b.publish(o)
				p.run(t, 30*time.Second)
				stop()
				if c.discontinuities() != 1 || c.inits() != 2 {
					t.Errorf("got %d discontinuities, %d init sections", c.discontinuities(), c.inits())
				}
				tally := c.tally()
				if lost := tally.Lost(packetbuf.Video, 1); len(lost) > 0 || !tally.Has(gen.ID{Track: packetbuf.Video, Source: 1, Number: 1}) { // parameter sets precede the first frame
					t.Errorf("lost frames %v of the second source", lost)
				}
			})
		})
	}
}

// With Always a stream is cut from when it goes live, without viewers.
func TestAlways(t *testing.T) {
	story(t, func(b *bench) { b.set.Always = true }, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(t, time.Second)
		b.Live("live/cam")
		p.run(t, 3*time.Minute)
		at, _ := b.lookup("live/cam")
		if at == nil || at.view.Load() == nil || len(at.view.Load().listed()) != 7 {
			t.Fatal("stream is not cut")
		}
		if n := b.stream().Audience(); n != 0 {
			t.Errorf("got %d viewers", n)
		}
	})
}

// Missing or late keyframes do not exceed the target duration.
func TestEndlessGOP(t *testing.T) {
	for name, o := range map[string]gen.Options{"from the start": {GOP: 1e6}, "ten seconds": {GOP: 300}} {
		t.Run(name, func(t *testing.T) {
			story(t, nil, func(b *bench) {
				p := b.publish(o)
				p.run(t, time.Second)
				c := b.client()
				stop := c.playing()
				p.run(t, 45*time.Second)
				stop()
				if len(c.v.Segments) < 3 {
					t.Errorf("got %d segments", len(c.v.Segments))
				}
			})
		})
	}
	t.Run("later on", func(t *testing.T) {
		story(t, nil, func(b *bench) {
			p := b.publish(gen.Options{})
			p.run(t, 6*time.Second)
			c := b.client()
			stop := c.playing()
			p.run(t, 4*time.Second)
			p.sink.End(ingest.Reset, "")
			p = b.publish(gen.Options{Source: 1, GOP: 300})
			p.run(t, 30*time.Second)
			stop()
			if c.discontinuities() != 0 {
				t.Errorf("got %d discontinuities", c.discontinuities())
			}
		})
	})
}

// With a long window, delta updates omit the segments that the player has.
func TestDelta(t *testing.T) {
	story(t, func(b *bench) { b.set.Window = 30; b.config.Buffer.Duration = 100 * time.Second }, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(t, 65*time.Second)
		c := b.client()
		if !c.index(t.Context()) {
			t.Fatal("no playlist")
		}
		skipped := 0
		for i := range 40 {
			query := ""
			if i > 0 {
				query = c.and("_HLS_skip=YES")
			}
			w := b.get(c.base + query)
			if err := c.v.Add(w.Body.String()); err != nil {
				t.Fatalf("%v\n%s", err, w.Body.String())
			}
			pl, _ := m3u8.Parse(w.Body.String())
			skipped = pl.Skipped
			p.run(t, 500*time.Millisecond)
		}
		if skipped < 15 {
			t.Errorf("got %d of 30 segments skipped", skipped)
		}
	})
}

// The playlist is also available without parts, and compressed.
func TestForms(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(t, 9*time.Second)
		w := b.get("/live/cam/index.m3u8?ll=0")
		if !strings.HasSuffix(w.Body.String(), "\nplain.m3u8?run="+b.instance.name+"\n") {
			t.Errorf("%s", w.Body.String())
		}
		v := m3u8.NewValidator()
		for range 20 {
			p.run(t, time.Second)
			w := b.get("/live/cam/plain.m3u8")
			if strings.Contains(w.Body.String(), "PART") {
				t.Fatal(w.Body.String())
			}
			if err := v.Add(w.Body.String()); err != nil {
				t.Fatal(err)
			}
		}
		index := b.get("/live/cam/index.m3u8").Body.String()
		for _, want := range []string{`CODECS="avc1.4d001f,mp4a.40.2"`, "RESOLUTION=1280x720", "FRAME-RATE=30.000", ",AVERAGE-BANDWIDTH=6"} {
			if !strings.Contains(index, want) {
				t.Errorf("%s lacks %s", index, want)
			}
		}
		zipped := b.get("/live/cam/media.m3u8", "Accept-Encoding", "gzip, br")
		if zipped.Header().Get("Content-Encoding") != "gzip" || zipped.Body.Len()*2 > b.get("/live/cam/media.m3u8").Body.Len() {
			t.Errorf("got header %v, %d bytes", zipped.Header(), zipped.Body.Len())
		}
		// A range of a segment, as some players request it.
		pl, _ := m3u8.Parse(b.get("/live/cam/plain.m3u8").Body.String())
		uri := "/live/cam/" + pl.Segments[0].URI
		whole, some := b.get(uri).Body.Bytes(), b.get(uri, "Range", "bytes=20000-70000")
		if some.Code != 206 || some.Body.String() != string(whole[20000:70001]) {
			t.Errorf("range: got status %d, %d bytes", some.Code, some.Body.Len())
		}
	})
}
