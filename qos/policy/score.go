package policy

import (
	"fmt"
	"math"
	"slices"

	"github.com/holdfast-live/holdfast/qos"
)

// Score rates how good a route is. Value is the product of the values of the parts.
type Score struct {
	Value float64 `json:"value"` // 0..1, 1 is best
	Parts []Part  `json:"parts"`
}

// Part is one factor of a score.
type Part struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"` // 0..1
	Why   string  `json:"why"`
}

// Values of the parts while nothing is known about the route. They are below those of a route that runs
// without faults, so that a route that was never used does not score better.
const (
	unknownAvailability = 0.9
	unknownStability    = 0.98
	unknownDelivery     = 0.95
	unknownRecord       = 0.98
	unknownLoss         = 0.98
	unknownLatency      = 0.95
)

// ScoreRoute returns the score of a route whose history has the summary s.
func ScoreRoute(s qos.Summary) Score {
	parts := []Part{availability(s), stability(s), delivery(s), record(s), loss(s), latency(s)}
	v := 1.0
	for _, p := range parts {
		v *= p.Value
	}
	return Score{Value: clamp(v), Parts: parts}
}

// With returns the score with an additional part p. It is for factors that the history does not contain,
// such as how much of the stream the route is sent.
func (s Score) With(p Part) Score {
	p.Value = clamp(p.Value)
	return Score{Value: s.Value * p.Value, Parts: append(slices.Clone(s.Parts), p)}
}

func part(name string, value float64, why string, args ...any) Part {
	return Part{Name: name, Value: clamp(value), Why: fmt.Sprintf(why, args...)}
}

// blend returns the weighted mean of two values: measured with the weight evidence, and unknown with the
// weight par.
func blend(measured, evidence, unknown, par float64) float64 {
	return (measured*evidence + unknown*par) / (evidence + par)
}

// availability returns a part for the share of dials and probes that succeed. The value recovers quickly
// when a route answers again, because the group also requires some time of health before it uses the route.
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
	return part(name, v, "%.0f %% of recent attempts succeeded, the last %d in a row", s.Success*100, s.Streak)
}

// stability returns a part for the number of breaks per hour.
func stability(s qos.Summary) Part {
	const name = "stability"
	if s.Watched <= 0 && s.BreaksPerHour <= 0 {
		return part(name, unknownStability, "has not run")
	}
	return part(name, 20/(20+s.BreaksPerHour), "%.1f breaks per hour", s.BreaksPerHour)
}

// A lag up to lagNone counts as none. A lag from lagFull on counts as worst, because the buffers of players
// are then empty.
const (
	lagNone = 0.5 // seconds
	lagFull = 3.0
)

// delivery returns a part for how promptly media has arrived recently.
func delivery(s qos.Summary) Part {
	const name = "delivery"
	if s.Measured <= 0 {
		return part(name, unknownDelivery, "not measured recently")
	}
	late := clamp((s.Lag - lagNone) / (lagFull - lagNone))
	v := (1 - 0.7*late) * (1 - 0.9*clamp(s.Stalls))
	return part(name, blend(v, s.Measured, unknownDelivery, 2), "%.1f s behind, stalled %.0f %% of the time", s.Lag, s.Stalls*100)
}

// record returns a part for how well the route did over a longer time. One minute of measurements has the
// same weight as the value for an unknown route.
func record(s qos.Summary) Part {
	const name = "record"
	if s.Watched <= 0 {
		return part(name, unknownRecord, "has not run")
	}
	v := 1 - 0.6*clamp(s.Trouble)
	return part(name, blend(v, s.Watched, unknownRecord, 60), "stalled or behind %.0f %% of the time it ran", s.Trouble*100)
}

// loss returns a part for the share of retransmitted segments. Up to 1 % counts as normal.
func loss(s qos.Summary) Part {
	const name = "loss"
	if s.Measured <= 0 {
		return part(name, unknownLoss, "not measured recently")
	}
	v := 1 - 0.5*clamp((s.Resent-0.01)/0.14)
	return part(name, blend(v, s.Measured, unknownLoss, 5), "%.1f %% retransmitted", s.Resent*100)
}

// latency returns a part for the round trip time. For a route that has not run, it uses the duration of the
// TCP connect, which is one round trip.
func latency(s qos.Summary) Part {
	const name = "latency"
	rtt := s.RTT
	if rtt <= 0 {
		rtt = s.Phases[qos.PhaseTCP]
	}
	if rtt <= 0 {
		return part(name, unknownLatency, "unknown")
	}
	return part(name, 1-0.2*clamp((rtt-0.1)/0.9), "%.0f ms round trip", rtt*1000)
}
