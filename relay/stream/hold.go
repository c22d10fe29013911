package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/relay/stream/filler"
)

// startFiller starts the filler at the end of the stream's media. s.mu is held.
func (s *Stream) startFiller(now time.Time) {
	cfg := s.cfg.Load()
	if s.filler = nil; !cfg.Freeze {
		return
	}
	_, cause := s.machine.State()
	held := s.heldState(now)
	held.Slate, held.Stalled = cfg.Slate, cause == ingest.Silence
	s.filler = filler.New(held)
	if err := s.filler.SlateFault(); err != nil {
		s.out.add(func() {
			s.opts.Log.Warn("slate not played; holding with the last frame", "reason", err)
		})
	}
	if s.present[packetbuf.Audio] && !s.filler.Silent() {
		reason := codec.NoSilenceReason(s.sent[packetbuf.Audio])
		s.out.add(func() {
			s.opts.Log.Info("holding without audio: no silent frame can be made", "reason", reason, "hint", "use AAC-LC, or Opus with one or two channels")
		})
	}
}

// heldState describes the stream for the filler. s.mu is held.
func (s *Stream) heldState(now time.Time) filler.Held {
	held := filler.Held{
		Configs: s.sent, Keyframe: s.lastKey, Media: s.sessionMedia,
		VideoStep: s.clock.Step(packetbuf.Video), AudioClock: s.clock.Clock(packetbuf.Audio, now),
	}
	held.LastVideo, _ = s.clock.Last(packetbuf.Video)
	held.LastAudio, held.HasAudio = s.clock.Last(packetbuf.Audio)
	return held
}

// bridgeVideo appends generated frames between the last frame of the previous session and p, if
// their presentation times are far apart. p is about to be placed at position at of the stream's
// clock. s.mu is held.
func (s *Stream) bridgeVideo(now time.Time, pub *publisherSession, p *packetbuf.Packet, at time.Duration) {
	if !s.cfg.Load().Freeze || p.Track != packetbuf.Video || !pub.ResetsDecoder(p) {
		return
	}
	for _, made := range filler.Bridge(s.heldState(now), at, at+p.CTO) {
		made.Epoch, made.Arrived = s.epoch, now
		s.clock.Fill(made.Track, made.DTS)
		s.opts.Counters.Filler[made.Track].Add(1)
		s.appendToRing(now, made)
	}
}

// fillTo appends the filler that is due: video with a PTS before position video, and silence that
// ends before position audio, both on the stream's clock. s.mu is held.
func (s *Stream) fillTo(now time.Time, video, audio time.Duration) {
	if s.filler == nil {
		return
	}
	for _, p := range s.filler.Due(now.Sub(s.since), video, audio) {
		if p.StartsSlate {
			s.epoch++
			s.slates++
			s.frozen = false
		}
		if p.Kind == packetbuf.Config {
			s.appendConfig(now, p.Packet)
			continue
		}
		if p.Track == packetbuf.Video && s.filler.Freezes() {
			s.frozen = true
		}
		p.Epoch, p.Arrived = s.epoch, now
		s.clock.Fill(p.Track, p.DTS)
		if p.Flags&packetbuf.Repeat == 0 {
			s.opts.Counters.Filler[p.Track].Add(1)
		}
		s.appendToRing(now, p.Packet)
	}
}

// sessionMedia yields the media of the session that feeds the stream, as far as the ring still holds
// it. Bridged audio is not included. s.mu is held.
func (s *Stream) sessionMedia(yield func(*packetbuf.Packet) bool) {
	stats := s.ring.Stats()
	cursor, _ := s.ring.Live()
	cursor.From(stats.Head - uint64(stats.Packets)) //nolint:gosec // not negative
	var buf [batch]*packetbuf.Packet
	for {
		n, err := cursor.Read(buf[:])
		if n == 0 || err != nil {
			return
		}
		for _, p := range buf[:n] {
			if p.Media() && !p.Bridged() && p.Epoch == s.epoch && !yield(p) {
				return
			}
		}
	}
}
