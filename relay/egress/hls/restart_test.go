package hls

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/m3u8"
)

// The end of a playlist is shown for a while. A player that comes later finds the next playlist, whose
// sequences are above all that came before.
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
			t.Error("no end")
		}
		if w := b.get(c.base); w.Code != 200 || !strings.Contains(w.Body.String(), "ENDLIST") {
			t.Errorf("who watched gets %d", w.Code)
		}
		if w := b.get("/live/cam/index.m3u8"); w.Code != 404 || w.Header().Get("Retry-After") == "" {
			t.Errorf("who comes gets %d", w.Code)
		}
		p = b.publish(gen.Options{Source: 1})
		p.run(t, 5*time.Second)
		c.v.Jumps = true
		stop = c.playing()
		p.run(t, 5*time.Second)
		stop()
		for name := range c.files { // also those of before, for those who still read them
			if w := b.get("/live/cam/" + name); w.Code != 200 {
				t.Errorf("%s: %d", name, w.Code)
				break
			}
		}
	})
}

// The relay is started anew: who polls goes on at the same address, and no sequence goes back.
func TestRestart(t *testing.T) {
	for _, segment := range []time.Duration{500 * time.Millisecond, 2 * time.Second} {
		story(t, func(b *bench) { b.set.Segment = segment }, func(b *bench) {
			c := b.client()
			c.v.Jumps = true
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
						t.Fatalf("run %d: %d %s", run, w.Code, w.Body.String())
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
					t.Errorf("before the stream is back: %d", w.Code)
				}
			}
			for _, f := range c.faults {
				t.Error(f)
			}
		})
	}
}

// A playlist without requests is given up. When it is asked for again its sequences are above the old ones.
func TestGivenUpAndBack(t *testing.T) {
	story(t, func(b *bench) { b.set.Segment = 500 * time.Millisecond }, func(b *bench) {
		p := b.publish(gen.Options{GOP: 15})
		c := b.client()
		c.v.Jumps = true
		for range 3 {
			p.run(t, 5*time.Second)
			stop := c.playing()
			p.run(t, 5*time.Second)
			stop()
			p.run(t, 35*time.Second)
			if at, _ := b.find("live/cam"); at != nil {
				t.Error("cut for nobody")
			}
		}
	})
}

// One that had many discontinuities, and was forgotten, comes back above them all the same.
func TestForgottenAndBack(t *testing.T) {
	story(t, func(b *bench) { b.config.Freeze, b.config.Hold = false, 3*time.Hour }, func(b *bench) {
		c := b.client()
		c.v.Jumps = true
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
				t.Fatalf("after %d breaks: %v", breaks, err)
			}
			time.Sleep(61 * time.Minute)
			b.Handler.mu.Lock()
			kept := len(b.floors)
			b.Handler.mu.Unlock()
			if kept > 0 {
				t.Fatal("not forgotten")
			}
		}
	})
}
