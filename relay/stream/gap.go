package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// covered reports whether p is audio for a time that has been filled with silence. It has no
// place on the stream's clock yet. s.mu is held.
func (s *Stream) covered(p *packetbuf.Packet) bool {
	return p.Track == packetbuf.Audio && s.gap.Late(s.clock.Where(p))
}

// closeGap gives viewers the silence that belongs before p, a packet of session pub with its
// place on the stream's clock. s.mu is held.
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

func (s *Stream) appendSilence(now time.Time, frames []*packetbuf.Packet) {
	for _, p := range frames {
		p.Kind, p.Epoch, p.Arrived = s.madeAudioKind(), s.epoch, now
		s.clock.Fill(packetbuf.Audio, p.DTS)
		s.opts.Counters.Filler[packetbuf.Audio].Add(1)
		s.append(now, p)
	}
}

// beginGap expects the audio of a session from at on. s.mu is held.
func (s *Stream) beginGap(at time.Duration) {
	if last, begun := s.clock.Last(packetbuf.Audio); begun {
		s.gap.Reach(last + s.audioFrame())
	}
	s.gap.Begin(at)
}

// audioFrame returns how long a frame of the audio that viewers have lasts; a millisecond where
// that is not known. s.mu is held.
func (s *Stream) audioFrame() time.Duration {
	samples, rate := codec.AudioFrameDuration(s.sent[packetbuf.Audio])
	if samples <= 0 || rate <= 0 {
		return time.Millisecond
	}
	return time.Duration(int64(samples) * int64(time.Second) / int64(rate))
}
