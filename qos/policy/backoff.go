package policy

import (
	"errors"
	"math"
	"time"
)

// Backoff defines the delays between redials: exponential, with jitter that separates the redials of
// different routes.
type Backoff struct {
	Base   time.Duration // longest delay before the first redial
	Factor float64       // ratio of one delay to the one before, at least 1
	Max    time.Duration // longest delay
	Jitter float64       // random part of a delay, 0 to 1
}

// DefaultBackoff returns the default configuration.
func DefaultBackoff() Backoff {
	return Backoff{Base: 500 * time.Millisecond, Factor: 2, Max: 30 * time.Second, Jitter: 0.5}
}

// Validate returns an error if the configuration is invalid.
func (b Backoff) Validate() error {
	switch {
	case b.Base <= 0:
		return errors.New("backoff: base must be more than 0")
	case b.Max < b.Base:
		return errors.New("backoff: max must not be less than base")
	case !(b.Factor >= 1) || math.IsInf(b.Factor, 0):
		return errors.New("backoff: factor must be 1 or more")
	case !(b.Jitter >= 0 && b.Jitter <= 1):
		return errors.New("backoff: jitter must be from 0 to 1")
	}
	return nil
}

// Delay returns how long to wait before redial n, counted from 0. chance is a random number from 0 to 1,
// which spreads a delay d over [d*(1-Jitter), d], so that redials do not coincide at the maximum either.
func (b Backoff) Delay(n int, chance float64) time.Duration {
	d := float64(b.Base) * math.Pow(b.Factor, float64(max(n, 0)))
	if !(d < float64(b.Max)) { // also if it overflowed
		d = float64(b.Max)
	}
	return time.Duration(d * (1 - b.Jitter*(1-clamp(chance))))
}

// clamp limits v to [0, 1]; NaN becomes 0.
func clamp(v float64) float64 {
	if !(v > 0) {
		return 0
	}
	return min(v, 1)
}
