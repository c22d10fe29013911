package policy

import (
	"fmt"
	"time"
)

// Carried is what one outward route of a stream carries of it.
type Carried struct {
	Full     bool    // all of it
	Capacity float64 // bits per second that its line was measured to carry; 0 while unknown
}

const (
	shortFor   = 3 * time.Second // all routes short for as long is no passing trouble
	raiseEvery = 4 * time.Second
	raiseBy    = 1.1
	// leastCeiling is the least that a publisher is asked to send, in bits per second.
	leastCeiling = 150_000
	// enough is how far a ceiling has to be above what the publisher sends to be of no use.
	enough = 1.5
)

// Ceiling is what a publisher is asked to stay below because none of its outward routes
// carries the whole stream. The zero value asks for nothing.
type Ceiling struct {
	bits   float64 // per second; 0: none
	short  time.Time
	raised time.Time
}

// Bits is the ceiling in force, in bits per second; 0: none.
func (c *Ceiling) Bits() float64 { return c.bits }

// Step looks at the routes, once a second or so; sent is what the publisher sends now, in bits
// per second. It returns why the ceiling changed; an empty reason means that it did not.
func (c *Ceiling) Step(now time.Time, sent float64, routes []Carried) Reason {
	best, short := 0.0, len(routes) > 0
	for _, r := range routes {
		short = short && !r.Full
		best = max(best, r.Capacity)
	}
	if !short || best == 0 {
		c.short = time.Time{}
		return c.raise(now, sent)
	}
	if c.short.IsZero() {
		c.short = now
	}
	want := max(fits*best, leastCeiling)
	if now.Sub(c.short) < shortFor || c.bits > 0 && want > c.bits*0.95 {
		return Reason{}
	}
	c.bits, c.raised, c.short = want, now, now
	return Reason{CauseLag, fmt.Sprintf("no outward route carries the stream; the best one carries %s", bits(best))}
}

// raise lets the publisher send more, little by little, while a route carries all of it.
func (c *Ceiling) raise(now time.Time, sent float64) Reason {
	if c.bits == 0 || now.Sub(c.raised) < raiseEvery {
		return Reason{}
	}
	c.raised = now
	c.bits *= raiseBy
	if c.bits > enough*sent {
		c.bits = 0
		return Reason{CauseClimb, "an outward route carries the stream with room to spare"}
	}
	return Reason{CauseClimb, "an outward route carries the stream; the ceiling rises to " + bits(c.bits)}
}
