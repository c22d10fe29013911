package qos

import (
	"strings"
	"time"
)

// Half-lives of the means of measurements.
const (
	halfSuccess  = time.Minute
	halfDial     = 10 * time.Minute
	halfRunning  = 15 * time.Second
	halfLag      = 5 * time.Second  // short, because only the current lag matters
	halfCapacity = 10 * time.Minute // of the trust in a capacity; the value itself uses halfLimit
	halfLimit    = 30 * time.Second
	halfRecord   = 10 * time.Minute
	halfBreaks   = 20 * time.Minute
)

// Limits of the items that a history keeps.
const (
	maxAttempts = 32
	maxBreaks   = 32
	maxShown    = 8   // items of each list in a Summary
	maxDetail   = 200 // bytes
	maxCause    = 40
)

// troubleLag is the lag of the destination from which a sample counts as trouble.
const troubleLag = 2 * time.Second

// attemptWorth is how long a route must run to have the same weight as one attempt. It equals the usual
// interval of probes, so that running and probing have equal weight.
const attemptWorth = 5.0 // seconds

// History is the history of one route over all its connections. Its size is bounded: it consists of the
// last few attempts and breaks, totals per minute of the last hour, and decaying means. The zero value is
// an empty history.
type History struct {
	record record
}

// record is the stored form of a history.
type record struct {
	Version  int          `json:"version"`
	Attempts []attempt    `json:"attempts,omitempty"` // oldest first
	Breaks   []breakEvent `json:"breaks,omitempty"`   // oldest first
	Minutes  minutes      `json:"minutes,omitempty"`

	Success     mean           `json:"success"`
	Streak      int            `json:"streak"`
	LastSuccess int64          `json:"last_success"` // ms since 1970
	Dial        mean           `json:"dial"`         // seconds
	Phases      map[Phase]mean `json:"phases,omitempty"`

	RTT      mean `json:"rtt"`    // seconds
	Jitter   mean `json:"jitter"` // seconds
	Segments mean `json:"segments"`
	Rate     mean `json:"rate"`
	Stalls   mean `json:"stalls"`
	Lag      mean `json:"lag"` // seconds
	Trouble  mean `json:"trouble"`

	Capacity  mean  `json:"capacity"`
	LimitedAt int64 `json:"limited_at"` // ms since 1970

	BreakCount mean `json:"break_count"` // only its weight is used
}

type attempt struct {
	At      int64   `json:"at"` // ms since 1970
	Probe   bool    `json:"probe,omitempty"`
	Outcome Outcome `json:"outcome"`
	Phase   Phase   `json:"phase"`
	Detail  string  `json:"detail,omitempty"`
}

type breakEvent struct {
	At       int64  `json:"at"` // ms since 1970
	Cause    string `json:"cause"`
	LastedMS int64  `json:"lasted_ms"`
}

// Attempt records a dial or a probe.
func (h *History) Attempt(a Attempt) {
	r := &h.record
	r.Attempts = appendBounded(r.Attempts, attempt{
		At: a.At.UnixMilli(), Probe: a.Probe, Outcome: a.Outcome, Phase: a.Phase, Detail: truncate(a.Detail, maxDetail),
	}, maxAttempts)
	m := r.Minutes.minuteFor(a.At)
	m.Attempts++
	if a.Outcome != DialOK {
		m.Failed++
		r.addFailure(a.At)
		return
	}
	r.Success.add(a.At, halfSuccess, 1, 1)
	r.Streak = max(r.Streak, 0) + 1
	r.LastSuccess = a.At.UnixMilli()
	if !a.Probe {
		r.Dial.add(a.At, halfDial, max(0, a.Total().Seconds()), 1)
	}
	for _, p := range Phases() {
		if took, ok := a.Took[p]; ok && took >= 0 {
			if r.Phases == nil {
				r.Phases = map[Phase]mean{}
			}
			m := r.Phases[p]
			m.add(a.At, halfDial, took.Seconds(), 1)
			r.Phases[p] = m
		}
	}
}

func (r *record) addFailure(now time.Time) {
	r.Success.add(now, halfSuccess, 0, 1)
	r.Streak = min(r.Streak, 0) - 1
}

// Sample records a measurement of the running route.
func (h *History) Sample(s Sample) {
	if s.Span <= 0 {
		return
	}
	r, now := &h.record, s.At
	span, lag := min(s.Span, time.Minute), max(s.Lag, 0)
	w := span.Seconds()
	if s.RTT > 0 {
		r.RTT.add(now, halfRunning, s.RTT.Seconds(), w)
		r.Jitter.add(now, halfRunning, max(s.RTTVar, 0).Seconds(), w)
	}
	// The mean is weighted by segments, not by time, so that two lost segments of three do not outweigh a
	// second in which many were sent.
	r.Segments.add(now, halfRunning, ratio(s.Resent, s.Segments), float64(s.Segments))
	r.Rate.add(now, halfRunning, s.Rate(), w)
	r.Lag.add(now, halfLag, lag.Seconds(), w)
	r.Stalls.add(now, halfRunning, boolToFloat(s.Stalled), w)
	r.Trouble.add(now, halfRecord, boolToFloat(s.Stalled || lag > troubleLag), w)
	r.Success.add(now, halfSuccess, boolToFloat(!s.Stalled), w/attemptWorth)
	if s.Limited && s.Delivered > 0 {
		r.Capacity.add(now, halfLimit, s.Rate(), w)
		r.LimitedAt = now.UnixMilli()
	}
	m := r.Minutes.minuteFor(now)
	m.RanMS += span.Milliseconds()
	if s.Stalled {
		m.StalledMS += span.Milliseconds()
	}
	m.LagMS = max(m.LagMS, lag.Milliseconds())
	m.Sent += s.Sent
	m.Delivered += s.Delivered
	m.Segments += s.Segments
	m.Resent += s.Resent
}

// Broke records a break of the running route at time now. lasted is how long its connection had lasted.
func (h *History) Broke(now time.Time, cause string, lasted time.Duration) {
	r := &h.record
	r.Breaks = appendBounded(r.Breaks, breakEvent{At: now.UnixMilli(), Cause: truncate(cause, maxCause), LastedMS: max(lasted, 0).Milliseconds()}, maxBreaks)
	r.BreakCount.add(now, halfBreaks, 1, 1)
	r.addFailure(now)
	r.Minutes.minuteFor(now).Breaks++
}

// appendBounded appends v to a slice of at most limit elements, removing the oldest if it is full.
func appendBounded[T any](ring []T, v T, limit int) []T {
	if len(ring) >= limit {
		copy(ring, ring[len(ring)-limit+1:])
		ring = ring[:limit-1]
	}
	return append(ring, v)
}

// truncate returns a text shortened to at most limit bytes of valid UTF-8.
func truncate(s string, limit int) string {
	return strings.ToValidUTF8(s[:min(len(s), limit)], "")
}

func ratio(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return min(1, float64(part)/float64(whole))
}

func boolToFloat(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
