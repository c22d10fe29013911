package qos

import (
	"math"
	"time"
)

// Summary is what the history comes to at now.
func (h *History) Summary(now time.Time) Summary {
	r := &h.record
	s := Summary{Streak: r.Streak, Minutes: r.Minutes.last(now)}
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
	r.capacity(now, &s)
	r.breaks(now, &s)
	r.errors(&s)
	if r.LastSuccess > 0 {
		s.LastSuccess = time.UnixMilli(r.LastSuccess).UTC()
	}
	return s
}

// settled is how much recent running makes its rate one to rely on.
const settled = 5.0 // seconds

// capacity is what the line carried when last it limited; less than it carries now it cannot be.
func (r *record) capacity(now time.Time, s *Summary) {
	limited := time.UnixMilli(r.LimitedAt)
	v, w := r.Capacity.at(limited, halfLimit)
	if w <= 0 {
		return
	}
	age := max(0, now.Sub(limited))
	s.Capacity, s.CapacityAge = v, age.Seconds()
	s.CapacityTrust = math.Exp2(-age.Seconds() / halfCapacity.Seconds())
	if s.Measured >= settled {
		s.Capacity = max(v, s.Rate)
	}
}

func (r *record) breaks(now time.Time, s *Summary) {
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

func (r *record) errors(s *Summary) {
	for i := len(r.Attempts) - 1; i >= 0 && len(s.LastErrors) < maxShown; i-- {
		if a := r.Attempts[i]; a.Outcome != DialOK {
			s.LastErrors = append(s.LastErrors, Failure{
				At: time.UnixMilli(a.At).UTC(), Probe: a.Probe, Outcome: a.Outcome, Phase: a.Phase, Detail: a.Detail,
			})
		}
	}
}
