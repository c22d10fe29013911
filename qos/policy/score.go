package policy

import (
	"fmt"
	"math"
	"slices"

	"github.com/holdfast-live/holdfast/qos"
)

// Score says how good a route is. Value is the product of the parts.
type Score struct {
	Value float64 `json:"value"` // 0..1, 1 is best
	Parts []Part  `json:"parts"`
}

// Part is one reason of a score.
type Part struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"` // 0..1
	Why   string  `json:"why"`
}

// What a part counts while nothing is known. It is below what a route without fault earns by
// running, so that one that was never used does not look better than that.
const (
	unknownAvailability = 0.9
	unknownStability    = 0.98
	unknownDelivery     = 0.95
	unknownRecord       = 0.98
	unknownLoss         = 0.98
	unknownLatency      = 0.95
)

// ScoreRoute scores a route by what its history comes to.
func ScoreRoute(s qos.Summary) Score {
	parts := []Part{availability(s), stability(s), delivery(s), record(s), loss(s), latency(s)}
	v := 1.0
	for _, p := range parts {
		v *= p.Value
	}
	return Score{Value: clamp(v), Parts: parts}
}

// With is the score with one more part: of what the history does not know, such as how much
// of the stream the route is sent.
func (s Score) With(p Part) Score {
	p.Value = clamp(p.Value)
	return Score{Value: s.Value * p.Value, Parts: append(slices.Clone(s.Parts), p)}
}

func part(name string, value float64, why string, args ...any) Part {
	return Part{Name: name, Value: clamp(value), Why: fmt.Sprintf(why, args...)}
}

// blend mixes what was measured with what counts while nothing is known, by how much evidence
// there is and how much counts as much as not knowing.
func blend(measured, evidence, unknown, par float64) float64 {
	return (measured*evidence + unknown*par) / (evidence + par)
}

// availability is the share of dials and probes that come through. A route that has been down
// and answers again is trusted soon: how long it must be in health first is the group's
// business.
func availability(s qos.Summary) Part {
	const name = "availability"
	switch {
	case s.Evidence <= 0 && s.Streak == 0:
		return part(name, unknownAvailability, "never tried")
	case s.Streak < 0:
		v := min(s.Success, math.Pow(0.5, float64(-s.Streak)))
		return part(name, v, "%d failures in a row", -s.Streak)
	}
	v := max(s.Success, 1-math.Pow(0.5, float64(s.Streak+1)))
	return part(name, v, "%.0f %% of recent attempts came through, the last %d in a row", s.Success*100, s.Streak)
}

// stability falls with breaks.
func stability(s qos.Summary) Part {
	const name = "stability"
	if s.Watched <= 0 && s.BreaksPerHour <= 0 {
		return part(name, unknownStability, "has not run")
	}
	return part(name, 20/(20+s.BreaksPerHour), "%.1f breaks per hour", s.BreaksPerHour)
}

// Lag up to lagNone counts as none, and from lagFull on as bad as it gets: players run dry.
const (
	lagNone = 0.5 // seconds
	lagFull = 3.0
)

// delivery is how fast what is sent arrives, lately.
func delivery(s qos.Summary) Part {
	const name = "delivery"
	if s.Measured <= 0 {
		return part(name, unknownDelivery, "not measured lately")
	}
	late := clamp((s.Lag - lagNone) / (lagFull - lagNone))
	v := (1 - 0.7*late) * (1 - 0.9*clamp(s.Stalls))
	return part(name, blend(v, s.Measured, unknownDelivery, 2), "%.1f s behind, stalled %.0f %% of the time", s.Lag, s.Stalls*100)
}

// record is how it did over a longer time. A minute of it counts as much as not knowing.
func record(s qos.Summary) Part {
	const name = "record"
	if s.Watched <= 0 {
		return part(name, unknownRecord, "has not run")
	}
	v := 1 - 0.6*clamp(s.Trouble)
	return part(name, blend(v, s.Watched, unknownRecord, 60), "in trouble %.0f %% of the time it ran", s.Trouble*100)
}

// loss is the share of segments that had to be sent again: up to 1 % is any line's.
func loss(s qos.Summary) Part {
	const name = "loss"
	if s.Measured <= 0 {
		return part(name, unknownLoss, "not measured lately")
	}
	v := 1 - 0.5*clamp((s.Resent-0.01)/0.14)
	return part(name, blend(v, s.Measured, unknownLoss, 5), "%.1f %% sent again", s.Resent*100)
}

// latency is the round trip, or, of a route that has not run, how long TCP takes to connect,
// which is one too.
func latency(s qos.Summary) Part {
	const name = "latency"
	rtt := s.RTT
	if rtt <= 0 {
		rtt = s.Phases[qos.PhaseTCP]
	}
	if rtt <= 0 {
		return part(name, unknownLatency, "not known")
	}
	return part(name, 1-0.2*clamp((rtt-0.1)/0.9), "%.0f ms there and back", rtt*1000)
}
