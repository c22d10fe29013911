package stream

// locked calls f with s.mu held. The lock is released also where f panics: the recovery ends the
// stream, which takes the lock again.
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
