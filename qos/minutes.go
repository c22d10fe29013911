package qos

import (
	"slices"
	"time"
)

// minutes holds the totals of each minute of the last hour in which anything happened, oldest first.
type minutes []minute

type minute struct {
	N         int64  `json:"n"` // minutes since 1970
	Attempts  int    `json:"attempts,omitempty"`
	Failed    int    `json:"failed,omitempty"`
	Breaks    int    `json:"breaks,omitempty"`
	RanMS     int64  `json:"ran_ms,omitempty"`
	StalledMS int64  `json:"stalled_ms,omitempty"`
	LagMS     int64  `json:"lag_ms,omitempty"` // the longest
	Sent      uint64 `json:"sent,omitempty"`
	Delivered uint64 `json:"delivered,omitempty"`
	Segments  uint64 `json:"segments,omitempty"`
	Resent    uint64 `json:"resent,omitempty"`
}

const hour = 60 // minutes

func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// minuteFor returns the totals of the minute that contains now, for adding to them. If the clock was set
// back, it returns the newest minute.
func (m *minutes) minuteFor(now time.Time) *minute {
	n := minuteOf(now)
	if l := len(*m); l > 0 && (*m)[l-1].N >= n {
		return &(*m)[l-1]
	}
	*m = append(slices.DeleteFunc(*m, func(o minute) bool { return o.N <= n-hour }), minute{N: n})
	return &(*m)[len(*m)-1]
}

// lastHour returns the totals of the minutes in the hour before now.
func (m minutes) lastHour(now time.Time) []Minute {
	var out []Minute
	for _, o := range m {
		if o.N <= minuteOf(now)-hour {
			continue
		}
		out = append(out, Minute{
			At: time.Unix(o.N*60, 0).UTC(), Attempts: o.Attempts, Failed: o.Failed, Breaks: o.Breaks,
			Ran: seconds(o.RanMS), Stalled: seconds(o.StalledMS), Lag: seconds(o.LagMS),
			Sent: o.Sent, Delivered: o.Delivered, Segments: o.Segments, Resent: o.Resent,
		})
	}
	return out
}

func (m *minutes) dropInvalid(now time.Time) {
	newest := minuteOf(now)
	*m = slices.DeleteFunc(*m, func(o minute) bool {
		return o.N > newest || o.N <= newest-hour ||
			o.Attempts < 0 || o.Failed < 0 || o.Failed > o.Attempts || o.Breaks < 0 ||
			o.RanMS < 0 || o.StalledMS < 0 || o.LagMS < 0 ||
			max(o.Attempts, o.Breaks) > 1e6 || max(o.RanMS, o.StalledMS, o.LagMS) > 1e9
	})
	slices.SortStableFunc(*m, func(a, b minute) int { return int(a.N - b.N) })
	*m = slices.CompactFunc(*m, func(a, b minute) bool { return a.N == b.N })
}

func seconds(ms int64) float64 { return float64(ms) / 1000 }
