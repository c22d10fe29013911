package stream

import (
	"github.com/holdfast-live/holdfast/ingest"
)

// ceilings are the bitrates in bits per second that a publisher is asked to stay below; 0 is none.
type ceilings struct{ routes, operator float64 }

// least returns the lower one; 0 if there is none.
func (c ceilings) least() float64 {
	if c.routes == 0 || c.operator > 0 && c.operator < c.routes {
		return c.operator
	}
	return c.routes
}

// Limit asks the publisher, and those that follow, for at most so many bits per second on behalf of
// the routes; 0 is no bound. Sessions that are no ingest.Limiter are not asked.
func (s *Stream) Limit(bits float64) {
	s.setCeiling(func(c *ceilings) { c.routes = bits })
}

// Cap is Limit on behalf of the operator; the lower of both counts. It reports whether there is a
// publisher now that can be asked.
func (s *Stream) Cap(bits float64) bool {
	return s.setCeiling(func(c *ceilings) { c.operator = bits })
}

// setCeiling changes the ceilings, and tells the publisher if the lower one has changed. It reports
// whether there is a publisher that can be asked.
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
