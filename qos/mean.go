package qos

import (
	"math"
	"time"
)

// mean is a weighted mean in which what was added counts half as much after each half-life.
// How often something is added makes no difference, only how much it weighs: a weight is the
// seconds that a value held for, or 1 for an event. A sum without a mean is kept the same way.
type mean struct {
	Sum    float64 `json:"sum"`
	Weight float64 `json:"weight"`
	At     int64   `json:"at"` // ms since 1970: what Sum and Weight are faded to
}

// least is the weight below which there is nothing to go by.
const least = 1e-6

func (m *mean) fade(now time.Time, half time.Duration) {
	ms := now.UnixMilli()
	if ms <= m.At { // a clock that went back
		return
	}
	if m.At > 0 {
		f := math.Exp2(-float64(ms-m.At) / float64(half.Milliseconds()))
		m.Sum *= f
		m.Weight *= f
	}
	if m.Weight < least {
		m.Sum, m.Weight = 0, 0
	}
	m.At = ms
}

func (m *mean) add(now time.Time, half time.Duration, v, weight float64) {
	m.fade(now, half)
	m.Sum += v * weight
	m.Weight += weight
}

// at is the mean at now and the weight behind it; 0, 0 if that is nothing.
func (m mean) at(now time.Time, half time.Duration) (v, weight float64) {
	m.fade(now, half)
	if m.Weight < least {
		return 0, 0
	}
	return m.Sum / m.Weight, m.Weight
}

// most is more than any sum or weight can honestly come to.
const most = 1e18

// sane makes nothing of a mean that cannot have been written by us.
func (m *mean) sane(now time.Time) {
	ok := func(v float64) bool { return v >= 0 && v <= most }
	if !ok(m.Sum) || !ok(m.Weight) || m.Weight < least || m.At <= 0 || m.At > now.UnixMilli() {
		*m = mean{}
	}
}
