package stream

import "github.com/holdfast-live/holdfast/ingest"

// Limit asks whoever publishes, now and later, for at most so many bits per second; 0 is no
// bound. Sessions that are no ingest.Limiter are not asked.
func (s *Stream) Limit(bits float64) {
	s.mu.Lock()
	if bits != s.ceiling {
		s.ceiling = bits
		s.limit(s.feeds[s.life.Current()])
	}
	s.mu.Unlock()
	s.flush()
}

// limit tells a session of the ceiling. s.mu is held; whoever holds it flushes afterwards.
func (s *Stream) limit(f *feed) {
	if f == nil {
		return
	}
	if l, ok := f.session.(ingest.Limiter); ok {
		bits := s.ceiling
		s.out.queue = append(s.out.queue, func() { l.Limit(bits) })
	}
}
