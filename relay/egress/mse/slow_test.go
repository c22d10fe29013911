package mse

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

func TestSlow(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		defer func() { c.pace(0); c.leave() }()
		p.run(3 * time.Second)
		c.pace(400 * time.Millisecond) // a quarter of what comes
		p.run(30 * time.Second)
		if b.skipped.Load() == 0 || c.count("discontinuity") == 0 {
			t.Fatalf("%d skips, told of %d", b.skipped.Load(), c.count("discontinuity"))
		}
		// Each gap is told of.
		told, last := false, uint64(0)
		for _, m := range c.all() {
			switch {
			case m.text != "":
				told = told || strings.Contains(m.text, "discontinuity")
				continue
			case m.seq <= last || last != 0 && m.seq != last+1 && !told:
				t.Fatalf("%d after %d, told %v", m.seq, last, told)
			}
			told, last = told && m.init(), m.seq
		}
		parse(t, c.all())
	})
}

func TestNeverAcknowledges(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{VideoBitrate: 8_000_000})
		c := b.dial("", func(c *client) { c.acks = false })
		defer c.leave()
		p.run(30 * time.Second)
		if b.skipped.Load() == 0 || c.count("discontinuity") == 0 {
			t.Errorf("%d skips, told of %d", b.skipped.Load(), c.count("discontinuity"))
		}
		parse(t, c.all())
	})
}

func TestStopsToAcknowledge(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", func(c *client) { c.acks = false })
		defer c.leave()
		p.run(3 * time.Second)
		c.say(fmt.Sprintf(`{"ack": %d}`, c.last()))
		p.run(8 * time.Second)
		sent := len(c.all())
		p.run(time.Second)
		if n := len(c.all()); n != sent {
			t.Errorf("%d messages more, with nothing acknowledged for long", n-sent)
		}
		c.say(fmt.Sprintf(`{"ack": %d}`, c.last()))
		p.run(time.Second)
		if n := len(c.all()); n == sent {
			t.Error("it does not go on")
		}
	})
}

func TestPings(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		p.run(2 * time.Second)
		c.say(`{"ping": 7}`)
		synctest.Wait()
		if c.count("pong") != 1 {
			t.Error("no pong")
		}
		if err := c.conn.Ping(context.Background()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute) // held: its pongs keep it
		if b.playing.Load() != 1 {
			t.Fatal("gone while held")
		}
		c.pace(time.Hour) // it reads one message more, and then nothing: no pongs
		c.say(`{"ping": 8}`)
		began := time.Now()
		for b.playing.Load() == 1 && time.Since(began) < time.Minute {
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took > 45*time.Second || took < 5*time.Second {
			t.Errorf("found dead after %v", took)
		}
		c.cut()
	})
}
