package stream

// locked calls f with s.mu held. It releases the lock even if f panics, because the recovery ends
// the stream and needs the lock for that.
func (s *Stream) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// poke makes the loop recompute its deadline.
func (s *Stream) poke() {
	select {
	case s.poked <- struct{}{}:
	default:
	}
}
