package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// closeGap sends viewers the silence that belongs before p, a packet that is already placed on the
// stream's clock. s.mu is held.
func (s *Stream) closeGap(now time.Time, pub *publisherSession, p *packetbuf.Packet) {
	switch p.Track {
	case packetbuf.Video:
		s.announceGuess(now, pub)
		s.appendSilence(now, s.gap.Video(p.DTS))
	case packetbuf.Audio:
		s.appendSilence(now, s.gap.Audio(p))
	case packetbuf.Data:
	}
}

// appendSilence appends silent frames to the ring. s.mu is held.
func (s *Stream) appendSilence(now time.Time, frames []*packetbuf.Packet) {
	for _, p := range frames {
		p.Kind, p.Epoch, p.Arrived = s.audioKind(), s.epoch, now
		s.clock.Fill(packetbuf.Audio, p.DTS)
		s.opts.Counters.Filler[packetbuf.Audio].Add(1)
		s.appendToRing(now, p)
	}
}

// startGap makes the stream expect audio from position at on. s.mu is held.
func (s *Stream) startGap(at time.Duration) {
	if last, begun := s.clock.Last(packetbuf.Audio); begun {
		s.gap.Reach(last + s.audioFrame())
	}
	s.gap.Begin(at)
}

// audioFrame returns the duration of a frame of the audio that viewers have, or a millisecond if it
// is unknown. s.mu is held.
func (s *Stream) audioFrame() time.Duration {
	samples, rate := codec.AudioFrameDuration(s.sent[packetbuf.Audio])
	if samples <= 0 || rate <= 0 {
		return time.Millisecond
	}
	return time.Duration(int64(samples) * int64(time.Second) / int64(rate))
}
