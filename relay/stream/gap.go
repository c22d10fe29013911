package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// covered reports whether p is audio for a time that has been filled with silence. It has no
// place on the stream's clock yet. s.mu is held.
func (s *Stream) covered(p *packetbuf.Packet) bool {
	return p.Track == packetbuf.Audio && s.gap.Late(s.clock.Where(p))
}

// closeGap gives viewers the silence that belongs before p, a packet of session f with its
// place on the stream's clock. s.mu is held.
func (s *Stream) closeGap(now time.Time, f *feed, p *packetbuf.Packet) {
	switch p.Track {
	case packetbuf.Video:
		s.announceAudio(now, f)
		s.appendSilence(now, s.gap.Video(p.DTS))
	case packetbuf.Audio:
		s.appendSilence(now, s.gap.Audio(p))
	case packetbuf.Data:
	}
}

func (s *Stream) appendSilence(now time.Time, frames []*packetbuf.Packet) {
	for _, p := range frames {
		if last, begun := s.clock.Last(packetbuf.Audio); begun && p.DTS <= last {
			continue // filler, or audio that was moved, stands there
		}
		p.Kind, p.Epoch, p.Arrived = s.soundKind(), s.epoch, now
		s.clock.Fill(packetbuf.Audio, p.DTS)
		s.opts.Counters.Filler[packetbuf.Audio].Add(1)
		s.append(now, p)
	}
}

// beginGap expects the audio of a session from at on. s.mu is held.
func (s *Stream) beginGap(at time.Duration) {
	if last, begun := s.clock.Last(packetbuf.Audio); begun {
		s.gap.Reach(last)
	}
	s.gap.Begin(at)
}
