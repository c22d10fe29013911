package hls

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/m3u8"
)

// The end of a playlist is served for a while. A player that joins later gets the next playlist,
// whose sequence numbers are above all earlier ones.
func TestEndAndAgain(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(t, 6*time.Second)
		c := b.client()
		stop := c.playing()
		p.run(t, 5*time.Second)
		p.sink.End(ingest.Unpublish, "")
		time.Sleep(8 * time.Second)
		stop()
		if !c.ends {
			t.Error("playlist without end")
		}
		if w := b.get(c.base); w.Code != 200 || !strings.Contains(w.Body.String(), "ENDLIST") {
			t.Errorf("existing viewer: got status %d", w.Code)
		}
		if w := b.get("/live/cam/index.m3u8"); w.Code != 404 || w.Header().Get("Retry-After") == "" {
			t.Errorf("new viewer: got status %d", w.Code)
		}
		p = b.publish(gen.Options{Source: 1})
		p.run(t, 5*time.Second)
		c.v.AllowJumps = true
		stop = c.playing()
		p.run(t, 5*time.Second)
		stop()
		for name := range c.files { // also those of the ended playlist, for viewers that still read it
			if w := b.get("/live/cam/" + name); w.Code != 200 {
				t.Errorf("%s: got status %d", name, w.Code)
				break
			}
		}
	})
}

// After a restart a player that polls continues at the same URL, and no sequence number
// decreases.
func TestRestart(t *testing.T) {
	for _, segment := range []time.Duration{500 * time.Millisecond, 2 * time.Second} {
		story(t, func(b *bench) { b.set.Segment = segment }, func(b *bench) {
			c := b.client()
			c.v.AllowJumps = true
			for run := range uint32(4) {
				p := b.publish(gen.Options{Source: run, GOP: 15})
				p.run(t, 3*time.Second)
				if c.base == "" && !c.index(t.Context()) {
					t.Fatal("no playlist")
				}
				for range 30 {
					p.run(t, 300*time.Millisecond)
					w := b.get(c.base)
					if w.Code != 200 {
						t.Fatalf("run %d: got status %d %s", run, w.Code, w.Body.String())
					}
					if err := c.v.Add(w.Body.String()); err != nil {
						t.Fatal(err)
					}
					pl, _ := m3u8.Parse(w.Body.String())
					c.fetch(pl)
				}
				b.stop()
				b.start()
				if w := b.get(c.base); w.Code != 404 || w.Header().Get("Retry-After") == "" {
					t.Errorf("before the stream is back: got status %d", w.Code)
				}
			}
			for _, f := range c.faults {
				t.Error(f)
			}
		})
	}
}

// A playlist without requests is removed. When it is requested again its sequence numbers are
// higher.
func TestUnusedAndBack(t *testing.T) {
	story(t, func(b *bench) { b.set.Segment = 500 * time.Millisecond }, func(b *bench) {
		p := b.publish(gen.Options{GOP: 15})
		c := b.client()
		c.v.AllowJumps = true
		for range 3 {
			p.run(t, 5*time.Second)
			stop := c.playing()
			p.run(t, 5*time.Second)
			stop()
			p.run(t, 35*time.Second)
			if at, _ := b.lookup("live/cam"); at != nil {
				t.Error("stream is cut without viewers")
			}
		}
	})
}

// A stream that had many discontinuities, and was forgotten, continues above them.
func TestForgottenAndBack(t *testing.T) {
	story(t, func(b *bench) { b.config.Freeze, b.config.Hold = false, 3*time.Hour }, func(b *bench) {
		c := b.client()
		c.v.AllowJumps = true
		for _, breaks := range []int{30, 1} {
			for range breaks {
				p := b.publish(gen.Options{GOP: 15})
				p.run(t, 3*time.Second)
				b.get("/live/cam/media.m3u8")
				p.run(t, time.Second)
				p.sink.End(ingest.Reset, "")
				time.Sleep(2 * time.Second)
			}
			if err := c.v.Add(b.get("/live/cam/media.m3u8").Body.String()); err != nil {
				t.Fatalf("after %d breaks: got %v", breaks, err)
			}
			time.Sleep(61 * time.Minute)
			b.Handler.mu.Lock()
			kept := len(b.floors)
			b.Handler.mu.Unlock()
			if kept > 0 {
				t.Fatal("stream not forgotten")
			}
		}
	})
}
