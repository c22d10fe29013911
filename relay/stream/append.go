package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// keyWake is the least interval between two keyframes that wake the viewers at once. In a stream
// that consists of keyframes only, not every keyframe may do so.
const keyWake = 500 * time.Millisecond

// appendToRing appends p to the ring and wakes the viewers: at once for a keyframe, otherwise after
// the gathering time. s.mu is held.
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

// newest returns the DTS of the newest media from the publisher or the filler, bridged audio not
// included. s.mu is held.
func (s *Stream) newest() time.Duration {
	video, _ := s.clock.Last(packetbuf.Video)
	audio, _ := s.clock.Last(packetbuf.Audio)
	return max(video, audio)
}

// audioKind returns the kind of an audio packet that the relay generates. It is Key for a stream
// without video, because a decoder can then start at each frame. s.mu is held.
func (s *Stream) audioKind() packetbuf.Kind {
	if s.lastKey == nil {
		return packetbuf.Key
	}
	return packetbuf.Delta
}
