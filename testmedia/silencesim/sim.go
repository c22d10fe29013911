package main

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest/watchdog"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/arrivals"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// rule returns a fresh watchdog: with silence 0 it judges by the publisher's rhythm.
func rule(silence time.Duration) *watchdog.Watchdog {
	return watchdog.New(watchdog.Config{Silence: silence, FirstMedia: 10 * time.Second}, epoch)
}

// cost is what a rule makes of a trace.
type cost struct {
	frozen   time.Duration // media stood still for viewers, beyond the publisher's rhythm
	verdicts int           // breaks declared; the push was never gone
	detect   time.Duration // the longest that a hang at the end of a minute went unnoticed
}

// unnoticed is how long media may stand still without a cost: players buffer that much.
const unnoticed = 500 * time.Millisecond

// simulate runs a trace for a length of time. After a verdict the filler goes on until a
// keyframe comes: media does not stand still for viewers, but the rest of the group of
// pictures is lost to them, and is charged in full.
func simulate(t arrivals.Trace, silence, length time.Duration) cost {
	w := rule(silence)
	var c cost
	var last time.Duration // when media was last passed on
	held, returned := false, arrivals.Frame{}
	minute := time.Minute
	for f := range t.Frames {
		if f.Read > length {
			return c
		}
		if at, ok := verdict(w, f, last); ok && !held {
			c.verdicts++
			c.frozen += max(0, at-last-t.Rhythm)
			held, returned = true, f
		}
		for ; minute < f.Read; minute += time.Minute {
			if minute-last < t.Rhythm {
				c.detect = max(c.detect, deadline(w)-minute)
			}
		}
		w.Media(epoch.Add(f.Read), packetbuf.Video)
		switch {
		case held && !f.Key:
			continue
		case held:
			held = false
			c.frozen += max(f.Read-returned.Read, f.Time-returned.Time)
		case f.Read-last > max(t.Rhythm, unnoticed):
			c.frozen += f.Read - last - t.Rhythm
		}
		last = f.Read
	}
	return c
}

// verdict reports when the watchdog declares a break before frame f is read, if it does. While
// f waits in the socket it does not: it is asked for unread bytes first. The last frame was
// read at last.
func verdict(w *watchdog.Watchdog, f arrivals.Frame, last time.Duration) (time.Duration, bool) {
	if f.Received-last < unnoticed {
		return 0, false // sooner than any rule
	}
	at := deadline(w)
	return at, at > 0 && at < f.Received
}

// deadline returns when the verdict falls if nothing more arrives; 0 before the first media.
func deadline(w *watchdog.Watchdog) time.Duration {
	now := epoch
	for next := w.Next(now); !next.IsZero(); next = w.Next(now) {
		now = next
		if w.Check(now) == watchdog.Silent {
			return now.Sub(epoch)
		}
	}
	return 0
}
