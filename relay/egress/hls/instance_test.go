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

// For a URL of any instance, discontinuity sequences increase with each later instance by more
// than the earlier one had discontinuities.
func TestInstance(t *testing.T) {
	at := epoch.Add(1000 * 24 * time.Hour)
	first := newInstance(at)
	if n := first.discontinuityOffset(first.name); n != 0 {
		t.Errorf("got offset %d for a URL of this instance, want 0", n)
	}
	for _, name := range []string{"", "no number", "-5", strings.Repeat("1", 99)} {
		if n := first.discontinuityOffset(name); n != 144000 {
			t.Errorf("got offset %d for a URL with instance %q", n, name)
		}
	}
	last := uint64(0)
	for _, lasts := range []time.Duration{time.Second, 30 * time.Second, time.Hour, 30 * 24 * time.Hour} {
		at = at.Add(lasts)
		n := newInstance(at).discontinuityOffset(first.name)
		if n <= last && lasts > time.Second || n < last+uint64(lasts/minDiscontinuityInterval) {
			t.Errorf("got offset %d after %d, in an instance %v later", n, last, lasts)
		}
		last = n
	}
	for _, name := range []string{newInstance(at).name, "zzzzzzzz"} { // the clock was set back, or the name was never issued
		if n := first.discontinuityOffset(name); n != 1 {
			t.Errorf("got offset %d for a URL with the later instance %q", n, name)
		}
	}
}

// A player continues with its URL across restarts of the relay, whatever the number of
// discontinuities. New players get low numbers.
func TestDiscontinuitiesOverRestarts(t *testing.T) {
	story(t, func(b *bench) { b.config.Freeze = false }, func(b *bench) {
		c := b.client()
		c.v.AllowJumps = true
		look := func(c *client) uint64 {
			w := b.get(strings.Replace(c.base, mediaFile, plainFile, 1))
			if err := c.v.Add(w.Body.String()); w.Code != 200 || err != nil {
				t.Fatalf("got status %d, error %v", w.Code, err)
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
				t.Errorf("got discontinuity sequence %d for a new player", breaks)
			}
			b.stop()
			b.start()
		}
	})
}
