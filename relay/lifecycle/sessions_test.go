package lifecycle

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/ingest"
)

// sessionTracker is a harness that tracks the sessions that were accepted and have neither ended
// nor been closed.
type sessionTracker struct {
	*harness
	t    *rapid.T
	open map[ID]bool
	last ID
}

// note removes the sessions that the machine closed.
func (c *sessionTracker) note(effects []Effect) {
	for _, e := range effects {
		if e.Kind != Close {
			continue
		}
		if !c.open[e.ID] {
			c.t.Fatalf("session %d was closed twice", e.ID)
		}
		delete(c.open, e.ID)
	}
}

// pass lets time pass, and calls Tick when it is due.
func (c *sessionTracker) pass(d time.Duration) {
	for end := c.now.Add(d); ; {
		next := c.m.Next()
		if next.IsZero() || next.After(end) {
			c.now = end
			return
		}
		if next.After(c.now) {
			c.now = next
		}
		c.note(c.m.Tick(c.now))
	}
}

// act performs a random action on a random session.
func (c *sessionTracker) act() {
	id := ID(rapid.IntRange(0, int(c.last)+1).Draw(c.t, "id")) //nolint:gosec // small
	switch rapid.IntRange(0, 5).Draw(c.t, "do") {
	case 0:
		c.last++
		a, effects := c.m.Publish(c.now, c.last, rapid.Bool().Draw(c.t, "backup"))
		if a.OK {
			c.harness.last[c.last], c.open[c.last] = c.now, true
		}
		c.note(effects)
	case 1, 2:
		c.harness.last[id] = c.now
		key := rapid.Bool().Draw(c.t, "key")
		c.keys[id] = c.keys[id] || key
		_, effects := c.m.Media(c.now, id, key)
		c.note(effects)
	case 3:
		c.note(c.m.Silent(c.now, id, rapid.SampledFrom([]ingest.Cause{ingest.Silence, ingest.FirstMedia}).Draw(c.t, "cause")))
	case 4:
		if c.open[id] {
			delete(c.open, id)
			c.note(c.m.End(c.now, id, rapid.SampledFrom([]ingest.Cause{ingest.Reset, ingest.Unpublish}).Draw(c.t, "cause")))
		}
	case 5:
		c.note(c.m.Late(id))
	}
	for id := range c.open {
		if id != c.m.Current() && id != c.m.Waiting() && id != c.m.Spare() {
			c.t.Fatalf("session %d is forgotten: current %d, waiting %d", id, c.m.Current(), c.m.Waiting())
		}
	}
}

// TestNoSessionIsForgotten drives a machine at random with sessions that hang, resume, end and
// take over from each other. Each accepted session is current or waiting, or has ended or was
// closed exactly once. When all publishers stop, the stream ends in time.
func TestNoSessionIsForgotten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const hold = 10 * time.Second
		rule := rapid.SampledFrom([]Takeover{Auto, Always, Never}).Draw(t, "takeover")
		c := &sessionTracker{harness: newHarness(Config{Hold: hold, HoldUnpublish: time.Second, Takeover: rule}), t: t, open: map[ID]bool{}}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			c.pass(time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond)
			c.act()
		}
		c.pass(time.Minute)
		c.note(c.m.Silent(c.now, c.m.Current(), ingest.Silence))
		c.note(c.m.Silent(c.now, c.m.Waiting(), ingest.Silence))
		c.note(c.m.Silent(c.now, c.m.Spare(), ingest.Silence))
		c.pass(hold + patience + returnWindow)
		switch state, _ := c.m.State(); {
		case state != Ended && state != Idle:
			t.Fatalf("got state %v without publishers", state)
		case len(c.open) > 0:
			t.Fatalf("got state %v with open sessions %v", state, c.open)
		}
	})
}
