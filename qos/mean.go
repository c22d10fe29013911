package qos

import (
	"math"
	"time"
)

// mean is a weighted mean in which the weight of a value halves with each half-life. The weight of a new
// value is the number of seconds for which it was measured, or 1 for an event; how often values are added
// makes no difference. A decaying sum uses the same type.
type mean struct {
	Sum    float64 `json:"sum"`
	Weight float64 `json:"weight"`
	At     int64   `json:"at"` // ms since 1970: the time up to which Sum and Weight are decayed
}

// minWeight is the weight below which a mean counts as empty.
const minWeight = 1e-6

func (m *mean) decay(now time.Time, half time.Duration) {
	ms := now.UnixMilli()
	if ms <= m.At { // the clock went back
		return
	}
	if m.At > 0 {
		f := math.Exp2(-float64(ms-m.At) / float64(half.Milliseconds()))
		m.Sum *= f
		m.Weight *= f
	}
	if m.Weight < minWeight {
		m.Sum, m.Weight = 0, 0
	}
	m.At = ms
}

func (m *mean) add(now time.Time, half time.Duration, v, weight float64) {
	m.decay(now, half)
	m.Sum += v * weight
	m.Weight += weight
}

// at returns the mean and its weight, decayed to time now; 0, 0 if the mean is empty.
func (m mean) at(now time.Time, half time.Duration) (v, weight float64) {
	m.decay(now, half)
	if m.Weight < minWeight {
		return 0, 0
	}
	return m.Sum / m.Weight, m.Weight
}

// maxSum exceeds any sum or weight that measurements can produce.
const maxSum = 1e18

// clearInvalid clears a mean whose values add cannot have produced.
func (m *mean) clearInvalid(now time.Time) {
	ok := func(v float64) bool { return v >= 0 && v <= maxSum }
	if !ok(m.Sum) || !ok(m.Weight) || m.Weight < minWeight || m.At <= 0 || m.At > now.UnixMilli() {
		*m = mean{}
	}
}
