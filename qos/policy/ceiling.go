package policy

import (
	"fmt"
	"time"
)

// Carried describes how much of a stream one push route carries.
type Carried struct {
	Full     bool    // it carries the whole stream
	Capacity float64 // measured capacity of its connection in bits per second; 0 if unknown
}

const (
	// ceilingDropAfter is how long no route must have carried the whole stream before the ceiling is
	// lowered.
	ceilingDropAfter = 3 * time.Second
	raiseEvery       = 4 * time.Second
	raiseBy          = 1.1
	// minCeiling is the lowest ceiling in bits per second.
	minCeiling = 150_000
	// maxCeilingRatio is the ratio of the ceiling to the publisher's rate above which the ceiling is
	// removed.
	maxCeilingRatio = 1.5
)

// Ceiling computes the bitrate that a publisher is asked not to exceed because no push route carries the
// whole stream. The zero value has no ceiling.
type Ceiling struct {
	bits       float64 // per second; 0 for none
	shortSince time.Time
	raised     time.Time
}

// Bits returns the ceiling in force in bits per second; 0 for none.
func (c *Ceiling) Bits() float64 { return c.bits }

// Step updates the ceiling from the state of the push routes and from sent, the publisher's current rate
// in bits per second. It should be called about once a second. It returns the reason why the ceiling
// changed, or an empty Reason if it did not change.
func (c *Ceiling) Step(now time.Time, sent float64, routes []Carried) Reason {
	best, short := 0.0, len(routes) > 0
	for _, r := range routes {
		short = short && !r.Full
		best = max(best, r.Capacity)
	}
	if !short || best == 0 {
		c.shortSince = time.Time{}
		return c.raise(now, sent)
	}
	if c.shortSince.IsZero() {
		c.shortSince = now
	}
	want := max(usableCapacity*best, minCeiling)
	if now.Sub(c.shortSince) < ceilingDropAfter || c.bits > 0 && want > c.bits*0.95 {
		return Reason{}
	}
	c.bits, c.raised, c.shortSince = want, now, now
	return Reason{CauseLag, fmt.Sprintf("no push route carries the stream; the best one carries %s", formatRate(best))}
}

// raise raises the ceiling by a step if one is due, and removes it if it is far above the sent rate.
func (c *Ceiling) raise(now time.Time, sent float64) Reason {
	if c.bits == 0 || now.Sub(c.raised) < raiseEvery {
		return Reason{}
	}
	c.raised = now
	c.bits *= raiseBy
	if c.bits > maxCeilingRatio*sent {
		c.bits = 0
		return Reason{CauseClimb, "a push route carries the stream with room to spare; no ceiling"}
	}
	return Reason{CauseClimb, "a push route carries the stream; the ceiling rises to " + formatRate(c.bits)}
}
