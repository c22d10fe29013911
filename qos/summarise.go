package qos

import (
	"math"
	"time"
)

// Summary returns a summary of the history at time now.
func (h *History) Summary(now time.Time) Summary {
	r := &h.record
	s := Summary{Streak: r.Streak, Minutes: r.Minutes.lastHour(now)}
	for _, m := range s.Minutes {
		s.Attempts += m.Attempts
		s.Failed += m.Failed
		s.Ran += m.Ran
	}
	s.Success, s.Evidence = r.Success.at(now, halfSuccess)
	s.Dial, _ = r.Dial.at(now, halfDial)
	for p, m := range r.Phases {
		if v, w := m.at(now, halfDial); w > 0 {
			if s.Phases == nil {
				s.Phases = map[Phase]float64{}
			}
			s.Phases[p] = v
		}
	}
	s.RTT, _ = r.RTT.at(now, halfRunning)
	s.Jitter, _ = r.Jitter.at(now, halfRunning)
	s.Resent, _ = r.Segments.at(now, halfRunning)
	s.Rate, s.Measured = r.Rate.at(now, halfRunning)
	s.Stalls, _ = r.Stalls.at(now, halfRunning)
	s.Lag, _ = r.Lag.at(now, halfLag)
	s.Trouble, s.Watched = r.Trouble.at(now, halfRecord)
	r.summariseCapacity(now, &s)
	r.summariseBreaks(now, &s)
	r.summariseErrors(&s)
	if r.LastSuccess > 0 {
		s.LastSuccess = time.UnixMilli(r.LastSuccess).UTC()
	}
	return s
}

// minMeasured is how long a route must have run recently for its rate to be reliable.
const minMeasured = 5.0 // seconds

// summariseCapacity sets the capacity in s to the rate that was measured when the connection last limited
// what was delivered, or to the current rate if that is higher.
func (r *record) summariseCapacity(now time.Time, s *Summary) {
	limited := time.UnixMilli(r.LimitedAt)
	v, w := r.Capacity.at(limited, halfLimit)
	if w <= 0 {
		return
	}
	age := max(0, now.Sub(limited))
	s.Capacity, s.CapacityAge = v, age.Seconds()
	s.CapacityTrust = math.Exp2(-age.Seconds() / halfCapacity.Seconds())
	if s.Measured >= minMeasured {
		s.Capacity = max(v, s.Rate)
	}
}

func (r *record) summariseBreaks(now time.Time, s *Summary) {
	_, count := r.BreakCount.at(now, halfBreaks)
	s.BreaksPerHour = count * math.Ln2 / halfBreaks.Hours()
	for i := len(r.Breaks) - 1; i >= 0; i-- {
		b := r.Breaks[i]
		at := time.UnixMilli(b.At)
		if now.Sub(at) < time.Hour {
			if s.Breaks == nil {
				s.Breaks = map[string]int{}
			}
			s.Breaks[b.Cause]++
		}
		if len(s.LastBreaks) < maxShown {
			s.LastBreaks = append(s.LastBreaks, Break{At: at.UTC(), Cause: b.Cause, Lasted: seconds(b.LastedMS)})
		}
	}
}

func (r *record) summariseErrors(s *Summary) {
	for i := len(r.Attempts) - 1; i >= 0 && len(s.LastErrors) < maxShown; i-- {
		if a := r.Attempts[i]; a.Outcome != DialOK {
			s.LastErrors = append(s.LastErrors, Failure{
				At: time.UnixMilli(a.At).UTC(), Probe: a.Probe, Outcome: a.Outcome, Phase: a.Phase, Detail: a.Detail,
			})
		}
	}
}
