package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

// feeding reports whether viewers get what a publisher sends. s.mu is held.
func (s *Stream) feeding() bool {
	state, _ := s.machine.State()
	return state == lifecycle.Live || state == lifecycle.Suspect
}

// State returns the state of the stream's lifecycle.
func (s *Stream) State() lifecycle.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, _ := s.machine.State()
	return state
}

// Clock returns where the stream's clock stands at now.
func (s *Stream) Clock(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	tr := packetbuf.Video
	if !s.present[packetbuf.Video] {
		tr = packetbuf.Audio
	}
	return s.clock.Clock(tr, now)
}

// Origin returns what is added to the timestamps of the session that feeds the stream to put them on
// the stream's clock.
func (s *Stream) Origin() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.Offset()
}

// Audience returns the number of viewers over all protocols.
func (s *Stream) Audience() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, v := range s.viewers {
		n += v
	}
	return n
}

// Weigh returns what the stream consists of over the last window; see packetbuf.Ring.
func (s *Stream) Weigh(window time.Duration) packetbuf.Weights { return s.ring.Weigh(window) }
