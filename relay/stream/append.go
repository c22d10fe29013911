package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// keyWake is the least interval at which a keyframe wakes the viewers at once: in a stream that
// consists of keyframes not each one may.
const keyWake = 500 * time.Millisecond

// appendToRing appends p to the ring and wakes viewers: at once for a keyframe, otherwise gathered.
// s.mu is held.
func (s *Stream) appendToRing(now time.Time, p *packetbuf.Packet) {
	s.segments.mark(p, s.lastKey != nil, s.cfg.Load().Segment)
	s.ring.Add(p)
	s.appended = now
	gather := s.cfg.Load().Gather
	if gather == GatherAuto {
		gather = s.opts.Load.gather()
	}
	if p.Track == packetbuf.Video && p.Kind == packetbuf.Key && now.Sub(s.keyWoken) >= keyWake {
		s.keyWoken, gather = now, 0
	}
	s.wake.soon(gather)
}

// newest returns the DTS of the newest media of the stream's own. s.mu is held.
func (s *Stream) newest() time.Duration {
	video, _ := s.clock.Last(packetbuf.Video)
	audio, _ := s.clock.Last(packetbuf.Audio)
	return max(video, audio)
}

// audioKind returns the kind of an audio packet that the relay makes: without video a decoder can
// start at each. s.mu is held.
func (s *Stream) audioKind() packetbuf.Kind {
	if s.lastKey == nil {
		return packetbuf.Key
	}
	return packetbuf.Delta
}
