package qos

import (
	"strings"
	"time"
)

// Half-lives: how fast what was measured loses its weight.
const (
	halfSuccess  = time.Minute
	halfDial     = 10 * time.Minute
	halfRunning  = 15 * time.Second
	halfLag      = 5 * time.Second  // a level, not a rate: what it was a while ago does not matter
	halfCapacity = 10 * time.Minute // of the trust; the measure itself follows within halfLimit
	halfLimit    = 30 * time.Second
	halfRecord   = 10 * time.Minute
	halfBreaks   = 20 * time.Minute
)

// Bounds of what is remembered one by one.
const (
	maxAttempts = 32
	maxBreaks   = 32
	maxShown    = 8   // of each in a Summary
	maxDetail   = 200 // bytes
	maxCause    = 40
)

// A sample in which the far side is this far behind is one of trouble.
const troubleLag = 2 * time.Second

// attemptWorth is how long a route must run for that to weigh as much as one attempt: the
// usual distance of probes, so that running and being probed count alike.
const attemptWorth = 5.0 // seconds

// History is what is remembered of one route, over all its connections. It is bounded: rings
// of what happened, the minutes of the last hour, fading means. The zero value is an empty one.
type History struct {
	record record
}

// record is a history in the form in which it is kept over a restart.
type record struct {
	Version  int       `json:"version"`
	Attempts []attempt `json:"attempts,omitempty"` // the oldest first
	Breaks   []broke   `json:"breaks,omitempty"`   // the oldest first
	Minutes  minutes   `json:"minutes,omitempty"`

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

	BreakCount mean `json:"break_count"` // its sum
}

type attempt struct {
	At      int64   `json:"at"` // ms since 1970
	Probe   bool    `json:"probe,omitempty"`
	Outcome Outcome `json:"outcome"`
	Phase   Phase   `json:"phase"`
	Detail  string  `json:"detail,omitempty"`
}

type broke struct {
	At       int64  `json:"at"` // ms since 1970
	Cause    string `json:"cause"`
	LastedMS int64  `json:"lasted_ms"`
}

// Attempt takes a dial or a probe in.
func (h *History) Attempt(a Attempt) {
	r := &h.record
	r.Attempts = keep(r.Attempts, attempt{
		At: a.At.UnixMilli(), Probe: a.Probe, Outcome: a.Outcome, Phase: a.Phase, Detail: cut(a.Detail, maxDetail),
	}, maxAttempts)
	m := r.Minutes.at(a.At)
	m.Attempts++
	if a.Outcome != DialOK {
		m.Failed++
		r.failed(a.At)
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

func (r *record) failed(now time.Time) {
	r.Success.add(now, halfSuccess, 0, 1)
	r.Streak = min(r.Streak, 0) - 1
}

// Sample takes a span of running in.
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
	// A mean over segments, not over time: two lost of three do not outweigh a busy second.
	r.Segments.add(now, halfRunning, share(s.Resent, s.Segments), float64(s.Segments))
	r.Rate.add(now, halfRunning, s.Rate(), w)
	r.Lag.add(now, halfLag, lag.Seconds(), w)
	r.Stalls.add(now, halfRunning, truth(s.Stalled), w)
	r.Trouble.add(now, halfRecord, truth(s.Stalled || lag > troubleLag), w)
	r.Success.add(now, halfSuccess, truth(!s.Stalled), w/attemptWorth)
	if s.Limited && s.Delivered > 0 {
		r.Capacity.add(now, halfLimit, s.Rate(), w)
		r.LimitedAt = now.UnixMilli()
	}
	m := r.Minutes.at(now)
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

// Broke takes in that a running route broke, and how long its connection had lasted.
func (h *History) Broke(now time.Time, cause string, lasted time.Duration) {
	r := &h.record
	r.Breaks = keep(r.Breaks, broke{At: now.UnixMilli(), Cause: cut(cause, maxCause), LastedMS: max(lasted, 0).Milliseconds()}, maxBreaks)
	r.BreakCount.add(now, halfBreaks, 1, 1)
	r.failed(now)
	r.Minutes.at(now).Breaks++
}

// keep appends to a ring of at most limit.
func keep[T any](ring []T, v T, limit int) []T {
	if len(ring) >= limit {
		copy(ring, ring[len(ring)-limit+1:])
		ring = ring[:limit-1]
	}
	return append(ring, v)
}

// cut shortens a text to at most limit bytes of valid UTF-8.
func cut(s string, limit int) string {
	return strings.ToValidUTF8(s[:min(len(s), limit)], "")
}

func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return min(1, float64(part)/float64(whole))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
