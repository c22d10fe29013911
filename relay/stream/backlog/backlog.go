// Package backlog follows what a publisher sends on the same connection after a stall: first the
// packets that queued up, faster than real time, then live media. It reports when this backlog has
// drained, and whether the publisher's timestamps kept running during the stall.
//
// The package is pure: time is an argument.
package backlog

import "time"

const (
	// live is the lag up to which media counts as live at once: the last frame of a burst is one frame
	// interval old.
	live = 40 * time.Millisecond
	// caughtUp plus twice the jitter is the lag up to which media counts as live.
	caughtUp = 150 * time.Millisecond
	// mostJitter bounds the jitter that is used for this.
	mostJitter = 75 * time.Millisecond
	// leastWindow is the least time for which the lag must be steady before the backlog counts as
	// drained. On a line with a long round-trip time the window is four round trips, since TCP starts
	// slowly after a stall.
	leastWindow = 400 * time.Millisecond
	mostWindow  = 2 * time.Second
	// steady is the fraction of the window's length by which the lag may fall and still count as
	// steady: the backlog then arrives at less than 1.25 times real time.
	steady = 0.25
)

// Monitor watches the lag of one session: how far its media is behind the stream's clock if the
// session's timestamps kept running during the stall.
type Monitor struct {
	window    time.Duration
	tolerance time.Duration

	begun   bool
	lag     time.Duration // lag of the newest packet
	from    time.Duration // the lag when the window began
	since   time.Time     // when the window began
	drained bool
}

// New returns a Monitor for a session with the given smoothed round-trip time and arrival jitter.
func New(rtt, jitter time.Duration) Monitor {
	return Monitor{
		window:    min(max(leastWindow, 4*rtt), mostWindow),
		tolerance: caughtUp + 2*min(max(jitter, 0), mostJitter),
	}
}

// Note records the lag of a packet that arrived at time now. The lag is negative for media ahead of
// the stream's clock.
func (m *Monitor) Note(now time.Time, lag time.Duration) {
	m.lag = lag
	if !m.begun {
		m.begun, m.from, m.since = true, lag, now
	}
	if lag.Abs() <= live {
		m.drained = true
		return
	}
	span := now.Sub(m.since)
	if span < m.window {
		return
	}
	m.drained = (m.from - lag).Abs() <= time.Duration(steady*float64(span))
	m.from, m.since = lag, now
}

// Drained reports whether the backlog has arrived: media is live again, or its lag no longer falls.
func (m *Monitor) Drained() bool { return m.drained }

// RanOn reports whether the publisher's timestamps kept running during the stall, which is the case
// if its newest media is now live.
func (m *Monitor) RanOn() bool { return m.begun && m.lag.Abs() <= m.tolerance }

// Shift returns by how much to move the session's clock so that its newest media is live. It is 0 if
// the publisher's timestamps kept running.
func (m *Monitor) Shift() time.Duration {
	if m.RanOn() {
		return 0
	}
	return m.lag
}
