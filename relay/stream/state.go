package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

// feeding reports whether viewers get media from a publisher, rather than filler or nothing. s.mu is
// held.
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

// Clock returns the reading of the stream's clock at time now.
func (s *Stream) Clock(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	tr := packetbuf.Video
	if !s.present[packetbuf.Video] {
		tr = packetbuf.Audio
	}
	return s.clock.Clock(tr, now)
}

// Origin returns the offset that is added to the timestamps of the session that feeds the stream to
// convert them to the stream's clock.
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

// Weigh measures the stream's media over the last window; see packetbuf.Ring.
func (s *Stream) Weigh(window time.Duration) packetbuf.Weights { return s.ring.Weigh(window) }
