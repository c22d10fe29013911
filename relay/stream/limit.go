package stream

import (
	"github.com/holdfast-live/holdfast/ingest"
)

// ceilings are the bitrates, in bits per second, that a publisher is asked to stay below; 0 is no
// limit.
type ceilings struct{ routes, operator float64 }

// least returns the lower of the two ceilings that are set, or 0 if none is.
func (c ceilings) least() float64 {
	if c.routes == 0 || c.operator > 0 && c.operator < c.routes {
		return c.operator
	}
	return c.routes
}

// Limit sets the ceiling of the routes: it asks the current publisher and later ones to send at most
// this many bits per second; 0 is no limit. A session that does not implement ingest.Limiter is not
// asked.
func (s *Stream) Limit(bits float64) {
	s.setCeiling(func(c *ceilings) { c.routes = bits })
}

// Cap sets the operator's ceiling, like Limit for the routes. The lower of the two applies. Cap
// reports whether a publisher is connected that can be asked.
func (s *Stream) Cap(bits float64) bool {
	return s.setCeiling(func(c *ceilings) { c.operator = bits })
}

// setCeiling changes the ceilings, and asks the publisher again if the lower one has changed. It
// reports whether a publisher is connected that can be asked.
func (s *Stream) setCeiling(change func(*ceilings)) (asked bool) {
	defer s.out.flush()
	s.mu.Lock()
	defer s.mu.Unlock() // before the flush
	before := s.ceilings.least()
	change(&s.ceilings)
	pub := s.publishers[s.machine.Current()]
	if s.ceilings.least() != before {
		pub.limit(s.ceilings.least())
	}
	if pub != nil {
		l, ok := pub.session.(ingest.Limiter)
		asked = ok && l.Limits()
	}
	return asked
}
