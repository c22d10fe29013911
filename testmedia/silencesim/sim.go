package main

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest/watchdog"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/arrivals"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// newWatchdog returns a watchdog. With silence 0 it uses the publisher's rhythm.
func newWatchdog(silence time.Duration) *watchdog.Watchdog {
	return watchdog.New(watchdog.Config{Silence: silence, FirstMedia: 10 * time.Second}, epoch)
}

// result is the result of a rule for a trace.
type result struct {
	frozen    time.Duration // time without media for viewers, beyond the publisher's rhythm
	breaks    int           // declared breaks; the push never failed
	detection time.Duration // longest time to detect a hang at the end of a minute
}

// tolerated is the length of a gap without a cost, since players buffer that much.
const tolerated = 500 * time.Millisecond

// simulate runs a trace for length. After a declared break the filler continues until a keyframe arrives.
// Viewers see no stop, but they lose the rest of the GOP, which counts in full.
func simulate(t arrivals.Trace, silence, length time.Duration) result {
	w := newWatchdog(silence)
	var c result
	var last time.Duration // when media was last forwarded
	inBreak, returned := false, arrivals.Frame{}
	minute := time.Minute
	for f := range t.Frames {
		if f.Read > length {
			return c
		}
		if at, ok := breakBefore(w, f, last); ok && !inBreak {
			c.breaks++
			c.frozen += max(0, at-last-t.Rhythm)
			inBreak, returned = true, f
		}
		for ; minute < f.Read; minute += time.Minute {
			if minute-last < t.Rhythm {
				c.detection = max(c.detection, breakTime(w)-minute)
			}
		}
		w.Media(epoch.Add(f.Read), packetbuf.Video)
		switch {
		case inBreak && !f.Key:
			continue
		case inBreak:
			inBreak = false
			c.frozen += max(f.Read-returned.Read, f.Time-returned.Time)
		case f.Read-last > max(t.Rhythm, tolerated):
			c.frozen += f.Read - last - t.Rhythm
		}
		last = f.Read
	}
	return c
}

// breakBefore reports whether and when the watchdog declares a break before frame f is read. It does not
// while f waits in the socket, since it checks for unread bytes first. The frame before f was read at
// last.
func breakBefore(w *watchdog.Watchdog, f arrivals.Frame, last time.Duration) (time.Duration, bool) {
	if f.Received-last < tolerated {
		return 0, false // before any rule
	}
	at := breakTime(w)
	return at, at > 0 && at < f.Received
}

// breakTime returns when the watchdog declares a break if nothing more arrives, or 0 before the first
// media.
func breakTime(w *watchdog.Watchdog) time.Duration {
	now := epoch
	for next := w.Next(now); !next.IsZero(); next = w.Next(now) {
		now = next
		if w.Check(now) == watchdog.Silent {
			return now.Sub(epoch)
		}
	}
	return 0
}
