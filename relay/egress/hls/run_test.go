package hls

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/m3u8"
)

// Whatever run a URL is of, discontinuity sequences are higher in each that comes later, by more
// than the one before had of them.
func TestRun(t *testing.T) {
	at := epoch.Add(1000 * 24 * time.Hour)
	first := newRun(at)
	if n := first.after(first.name); n != 0 {
		t.Errorf("%d for who has a URL of this run", n)
	}
	for _, name := range []string{"", "no number", "-5", strings.Repeat("1", 99)} {
		if n := first.after(name); n != 144000 {
			t.Errorf("%d for who has a URL with run %q", n, name)
		}
	}
	last := uint64(0)
	for _, lasts := range []time.Duration{time.Second, 30 * time.Second, time.Hour, 30 * 24 * time.Hour} {
		at = at.Add(lasts)
		n := newRun(at).after(first.name)
		if n <= last && lasts > time.Second || n < last+uint64(lasts/seldom) {
			t.Errorf("%d after %d, in a run that came %v later", n, last, lasts)
		}
		last = n
	}
	for _, name := range []string{newRun(at).name, "zzzzzzzz"} { // the clock was set back, or nobody gave it
		if n := first.after(name); n != 1 {
			t.Errorf("%d for who has a URL with the later run %q", n, name)
		}
	}
}

// A player goes on with its URL over restarts of the relay, however many discontinuities there
// were; who begins gets low numbers.
func TestDiscontinuitiesOverRestarts(t *testing.T) {
	story(t, func(b *bench) { b.config.Freeze = false }, func(b *bench) {
		c := b.client()
		c.v.Jumps = true
		look := func(c *client) uint64 {
			w := b.get(strings.Replace(c.base, mediaFile, plainFile, 1))
			if err := c.v.Add(w.Body.String()); w.Code != 200 || err != nil {
				t.Fatalf("%d %v", w.Code, err)
			}
			p, _ := m3u8.Parse(w.Body.String())
			breaks, err := strconv.ParseUint(p.Tags["#EXT-X-DISCONTINUITY-SEQUENCE"], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return breaks
		}
		for range 4 {
			for range 3 {
				p := b.publish(gen.Options{GOP: 15})
				p.run(t, 8*time.Second)
				if c.base == "" && !c.index(t.Context()) {
					t.Fatal("no playlist")
				}
				look(c)
				p.sink.End(ingest.Reset, "")
				time.Sleep(time.Second)
			}
			begins := b.client()
			if !begins.index(t.Context()) {
				t.Fatal("no playlist")
			}
			if breaks := look(begins); breaks > 3 {
				t.Errorf("%d for who begins", breaks)
			}
			b.stop()
			b.start()
		}
	})
}
