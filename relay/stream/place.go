package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/relay/stream/filler"
	"github.com/holdfast-live/holdfast/relay/stream/publisher"
	"github.com/holdfast-live/holdfast/relay/stream/standby"
)

// splice joins a session to the stream at packet p, the session's first random-access point. s.mu is
// held.
func (s *Stream) splice(now time.Time, pub *publisherSession, p *packetbuf.Packet) {
	s.clock.Break()
	s.clock.SetReorder(publisher.ReorderFrames(pub.Config(packetbuf.Video)))
	s.clock.Splice(p)
	s.standby.returning = standby.Returning{}
	p = s.startSession(now, pub, p, s.clock.At())
	s.place(now, pub, p)
}

// startSession prepares viewers for a session that feeds the stream from packet p on. p is about to
// be placed at position at of the stream's clock. startSession returns the packet to send in place
// of p. s.mu is held.
func (s *Stream) startSession(now time.Time, pub *publisherSession, p *packetbuf.Packet, at time.Duration) *packetbuf.Packet {
	s.activate(now, pub)
	s.standby.sentWindow.Clear() // later packets do not refer to earlier ones
	first := s.epoch == 0
	if s.filler == nil && !first {
		s.bridgeVideo(now, pub, p, at)
	}
	s.fillTo(now, at-filler.Every, at)
	s.startGap(at)
	s.epoch++ // only now: no frame of the session may refer to a generated frame
	if p.Track == packetbuf.Audio && pub.Config(packetbuf.Video) == nil {
		s.dropTrack(packetbuf.Video)
	}
	if video := s.announce(now, pub); video {
		p = codec.WithParameterSets(p, s.sent[packetbuf.Video])
	}
	if !first {
		p.Flags |= packetbuf.Splice
	}
	s.filler = nil
	return p
}

// activate records that a session feeds the stream from now on. s.mu is held; its holder flushes the
// outbox.
func (s *Stream) activate(now time.Time, pub *publisherSession) {
	s.activeSession = pub.session.ID()
	pub.Join(now)
	if s.ceilings.least() > 0 {
		pub.limit(s.ceilings.least())
	}
}

// place converts the times of a packet from the session that feeds the stream to the stream's clock,
// and delivers the packet. s.mu is held.
func (s *Stream) place(now time.Time, pub *publisherSession, p *packetbuf.Packet) {
	if pub.Settles(now) {
		s.forgetTracks(now, pub)
	}
	s.retainActive(pub, p)
	covered := p.Track == packetbuf.Audio && s.gap.Late(s.clock.Where(p)) // silence was sent in its place
	placed := !covered && s.clock.Place(p)
	s.reportRepairs(pub, p.Track)
	if !placed {
		s.opts.Counters.Late.Add(1)
		return
	}
	s.deliver(now, pub, p)
}

// deliver sends viewers a packet that is already placed on the stream's clock. s.mu is held.
func (s *Stream) deliver(now time.Time, pub *publisherSession, p *packetbuf.Packet) {
	if p.Track == packetbuf.Video {
		s.frozen = s.frozen && !pub.ResetsDecoder(p)
	}
	p.Epoch = s.epoch
	if pub.NoteBare(p) {
		s.announceBare(now, pub, p)
	}
	if p.Kind == packetbuf.Key && s.configPending {
		s.announce(now, pub)
	}
	if p.Track == packetbuf.Video && p.Kind == packetbuf.Key {
		s.lastKey = p
	}
	s.closeGap(now, pub, p)
	s.retainSent(p)
	s.appendToRing(now, p)
}

// reportRepairs reports the timestamps that the clock has corrected in a track since the last call.
// They are counted, and logged once per session. s.mu is held.
func (s *Stream) reportRepairs(pub *publisherSession, tr packetbuf.Track) {
	if news := s.repairs.News(tr, s.clock.Corrections(tr), s.clock.Derived()); news != nil {
		pub.reportRepairs(news)
	}
}
