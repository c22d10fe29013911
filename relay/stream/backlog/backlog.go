// Package backlog follows what a publisher sends after a stall on the same connection: first
// what queued up behind the stall, faster than real time, then live media. It tells when the
// backlog has drained, and whether the publisher's clock ran on meanwhile.
//
// It is pure: time is an argument.
package backlog

import "time"

const (
	// live is how late media may be to count as live at once: the last of a burst is a frame
	// old.
	live = 40 * time.Millisecond
	// caughtUp is how late media may be and still count as live, beyond twice its jitter.
	caughtUp = 150 * time.Millisecond
	// mostJitter bounds what jitter adds.
	mostJitter = 75 * time.Millisecond
	// leastWindow is over how long the lag must be steady at least to count as drained; on a
	// long line it is four round trips, since TCP begins slowly after a stall.
	leastWindow = 400 * time.Millisecond
	mostWindow  = 2 * time.Second
	// steady is which part of the window's length the lag may fall by and still be steady: the
	// backlog arrives at less than 1.25 times real time.
	steady = 0.25
)

// Monitor watches the lag of one session: how far its media is behind the stream's clock as
// long as the session's clock counts as running on.
type Monitor struct {
	window    time.Duration
	tolerance time.Duration

	begun   bool
	lag     time.Duration // of the newest packet
	from    time.Duration // the lag when the window began
	since   time.Time     // when the window began
	drained bool
}

// New returns a Monitor for a session on a line with that smoothed round-trip time and that
// arrival jitter.
func New(rtt, jitter time.Duration) Monitor {
	return Monitor{
		window:    min(max(leastWindow, 4*rtt), mostWindow),
		tolerance: caughtUp + 2*min(max(jitter, 0), mostJitter),
	}
}

// Note takes the lag of a packet that arrived at now. A negative lag is media ahead of the
// stream's clock.
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

// Drained reports whether what queued up has arrived: media is live again, or its lag no
// longer falls.
func (m *Monitor) Drained() bool { return m.drained }

// RanOn reports whether media is where the publisher's clock has it if that ran on.
func (m *Monitor) RanOn() bool { return m.begun && m.lag.Abs() <= m.tolerance }

// Shift returns by how much the session's clock has to be moved so that its newest media is
// live: 0 if its clock ran on.
func (m *Monitor) Shift() time.Duration {
	if m.RanOn() {
		return 0
	}
	return m.lag
}
