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
		p.publishFor(3 * time.Second)
		c.pace(400 * time.Millisecond) // reads a quarter of the chunks
		p.publishFor(30 * time.Second)
		if b.skipped.Load() == 0 || c.count("discontinuity") == 0 {
			t.Fatalf("got %d skips, %d discontinuities", b.skipped.Load(), c.count("discontinuity"))
		}
		// Each gap is announced.
		told, last := false, uint64(0)
		for _, m := range c.received() {
			switch {
			case m.text != "":
				told = told || strings.Contains(m.text, "discontinuity")
				continue
			case m.seq <= last || last != 0 && m.seq != last+1 && !told:
				t.Fatalf("got chunk %d after %d, announced %v", m.seq, last, told)
			}
			told, last = told && m.init(), m.seq
		}
		parse(t, c.received())
	})
}

func TestNeverAcknowledges(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{VideoBitrate: 8_000_000})
		c := b.dial("", func(c *client) { c.acks = false })
		defer c.leave()
		p.publishFor(30 * time.Second)
		if b.skipped.Load() == 0 || c.count("discontinuity") == 0 {
			t.Errorf("got %d skips, %d discontinuities", b.skipped.Load(), c.count("discontinuity"))
		}
		parse(t, c.received())
	})
}

func TestStopsAcknowledging(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", func(c *client) { c.acks = false })
		defer c.leave()
		p.publishFor(3 * time.Second)
		c.send(fmt.Sprintf(`{"ack": %d}`, c.last()))
		p.publishFor(8 * time.Second)
		sent := len(c.received())
		p.publishFor(time.Second)
		if n := len(c.received()); n != sent {
			t.Errorf("got %d more messages without acknowledgements", n-sent)
		}
		c.send(fmt.Sprintf(`{"ack": %d}`, c.last()))
		p.publishFor(time.Second)
		if n := len(c.received()); n == sent {
			t.Error("got no messages after acknowledging again")
		}
	})
}

func TestPings(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		p.publishFor(2 * time.Second)
		c.send(`{"ping": 7}`)
		synctest.Wait()
		if c.count("pong") != 1 {
			t.Error("got no pong")
		}
		if err := c.conn.Ping(context.Background()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute) // held: pongs keep the connection
		if b.playing.Load() != 1 {
			t.Fatal("connection closed while the stream is held")
		}
		c.pace(time.Hour) // it reads one more message, then nothing: no pongs
		c.send(`{"ping": 8}`)
		began := time.Now()
		for b.playing.Load() == 1 && time.Since(began) < time.Minute {
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took > 45*time.Second || took < 5*time.Second {
			t.Errorf("connection closed after %v", took)
		}
		c.cut()
	})
}
