package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/audio"
)

// Tap gives a route its place: at the GOP that holds the packet of sequence from, or at the
// oldest that the buffer has where that one has left it; with from 0 at the newest
// random-access point, or where the buffer holds none at a recovery point. A route is not a viewer: it is not counted, and may fall behind as far
// as the buffer goes. sound is as for Attach: without any, no bridged sound comes this way.
func (s *Stream) Tap(from uint64, sound ...packetbuf.Codec) (*Reader, error) {
	r, err := s.tap(from, audio.CodecsOf(sound))
	s.flush()
	return r, err
}

func (s *Stream) tap(from uint64, accepts audio.Codecs) (*Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.playable(); err != nil {
		return nil, err
	}
	r := &Reader{s: s, has: s.present, route: true}
	s.selectAudio(r, accepts)
	if from == 0 {
		r.recovers = true // what comes of it is for the far side to judge
		r.join()
		return r, nil
	}
	cursor, configs, err := s.ring.Back(from)
	if err != nil {
		cursor, configs = s.ring.Live()
		r.waitKey = true
	}
	r.cursor = cursor
	r.queue(configs)
	return r, nil
}

// TakeWays has the reader take also what is sent again for those who join while the stream is
// held: others are going to begin in what it makes.
func (r *Reader) TakeWays() { r.ways = true }

// NewestKey is the sequence of the newest random-access point; 0 where there is none.
func (r *Reader) NewestKey() uint64 {
	cursor, _, err := r.s.ring.Join()
	if err != nil {
		return 0
	}
	return cursor.Next()
}

// Weigh tells what the stream consists of; see packetbuf.Ring.
func (s *Stream) Weigh(window time.Duration) packetbuf.Weights { return s.ring.Weigh(window) }

// Clock is where the stream's clock stands.
func (s *Stream) Clock(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	tr := packetbuf.Video
	if !s.present[packetbuf.Video] {
		tr = packetbuf.Audio
	}
	return s.clock.Clock(tr, now)
}

// State is where the stream is in its life.
func (s *Stream) State() lifecycle.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, _ := s.machine.State()
	return state
}

// Origin is what has been added to the timestamps of the session that feeds the stream to put
// them on its clock.
func (s *Stream) Origin() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.Offset()
}

// Audience is how many viewers the stream has, over all protocols.
func (s *Stream) Audience() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, v := range s.viewers {
		n += v
	}
	return n
}
