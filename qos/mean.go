package qos

import (
	"math"
	"time"
)

// mean is a weighted mean in which earlier values count half as much after each half-life. How often
// a value is added makes no difference, only its weight: the seconds that a value held, or 1 for an
// event. A decaying sum uses the same type.
type mean struct {
	Sum    float64 `json:"sum"`
	Weight float64 `json:"weight"`
	At     int64   `json:"at"` // ms since 1970: the time to which Sum and Weight have decayed
}

// minWeight is the weight below which a mean is empty.
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

// at returns the mean at now and its weight; 0, 0 if it is empty.
func (m mean) at(now time.Time, half time.Duration) (v, weight float64) {
	m.decay(now, half)
	if m.Weight < minWeight {
		return 0, 0
	}
	return m.Sum / m.Weight, m.Weight
}

// maxSum is more than any sum or weight that can be measured.
const maxSum = 1e18

// clearInvalid clears a mean that add cannot have produced.
func (m *mean) clearInvalid(now time.Time) {
	ok := func(v float64) bool { return v >= 0 && v <= maxSum }
	if !ok(m.Sum) || !ok(m.Weight) || m.Weight < minWeight || m.At <= 0 || m.At > now.UnixMilli() {
		*m = mean{}
	}
}
