package stream

import (
	"github.com/holdfast-live/holdfast/ingest"
)

// ceilings are what a publisher is asked to stay below, in bits per second, by each who may ask;
// 0 is no bound.
type ceilings struct{ routes, operator float64 }

// least is the one that counts.
func (c ceilings) least() float64 {
	if c.routes == 0 || c.operator > 0 && c.operator < c.routes {
		return c.operator
	}
	return c.routes
}

// Limit asks whoever publishes, now and later, for at most so many bits per second, on behalf
// of the routes; 0 is no bound. Sessions that are no ingest.Limiter are not asked.
func (s *Stream) Limit(bits float64) {
	s.bound(func(c *ceilings) { c.routes = bits })
}

// Cap is Limit on behalf of the operator: the lower of both counts. It returns whether there is
// somebody now who can be asked.
func (s *Stream) Cap(bits float64) bool {
	return s.bound(func(c *ceilings) { c.operator = bits })
}

func (s *Stream) bound(change func(*ceilings)) (asked bool) {
	defer s.flush()
	s.mu.Lock()
	defer s.mu.Unlock() // before the flush
	before := s.ceilings.least()
	change(&s.ceilings)
	pub := s.publishers[s.machine.Current()]
	if s.ceilings.least() != before {
		s.limit(pub)
	}
	if pub != nil {
		l, ok := pub.session.(ingest.Limiter)
		asked = ok && l.Limits()
	}
	return asked
}

// limit tells a session of the ceiling. s.mu is held; whoever holds it flushes afterwards.
func (s *Stream) limit(pub *publisherSession) {
	if pub == nil {
		return
	}
	if l, ok := pub.session.(ingest.Limiter); ok {
		bits := s.ceilings.least()
		s.out.queue = append(s.out.queue, func() { l.Limit(bits) })
	}
}
