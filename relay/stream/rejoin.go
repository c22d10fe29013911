package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/standby"
)

// returns reports whether pub is the session that fell silent and may return. s.mu is held.
func (s *Stream) returns(pub *publisherSession) bool {
	state, _ := s.machine.State()
	return pub.id == s.machine.Current() && (state == lifecycle.Held || s.standby.returning.Catching())
}

// keepReturning holds back a packet of a session that returns after a silence, and lets the session
// join once its backlog has drained. key reports whether a decoder can start at p. keepReturning
// returns false if the packet is not held back. s.mu is held.
func (s *Stream) keepReturning(now time.Time, pub *publisherSession, p *packetbuf.Packet, key bool) bool {
	r := &s.standby.returning
	if !r.Begun() {
		rtt, _ := pub.session.RTT()
		r.Begin(rtt, pub.Jitter())
	}
	r.Note(now, s.clock.Lag(p))
	if r.Catching() {
		return false
	}
	kept, dropped := r.Keep(now, p, key, s.cfg.Load().Buffer.Bytes)
	s.opts.Counters.Late.Add(uint64(dropped)) //nolint:gosec // a number of packets
	if kept && r.Joins(now) {
		s.rejoin(now, pub)
	}
	return kept
}

// rejoinDue lets a returning session join if it is due, which matters if the session has sent
// nothing more after its keyframe. It returns when to call it again, or zero if that is not
// necessary. s.mu is held.
func (s *Stream) rejoinDue(now time.Time) time.Time {
	due := s.standby.returning.JoinDue()
	pub := s.publishers[s.machine.Current()]
	if due.IsZero() || pub == nil || now.Before(due) {
		return due
	}
	s.rejoin(now, pub)
	return time.Time{}
}

// rejoin makes the returning session feed the stream again, starting with the packets held back.
// s.mu is held.
func (s *Stream) rejoin(now time.Time, pub *publisherSession) {
	action, effects := s.machine.Media(now, pub.id, true)
	s.perform(now, effects)
	if action != lifecycle.Splice { // the session falls silent and returns too often
		s.opts.Counters.Late.Add(uint64(s.standby.returning.Drop())) //nolint:gosec // a number of packets
		s.warnReturns(now, pub)
		return
	}
	kept, shift := s.standby.returning.Join()
	s.clock.Break()
	s.clock.Resume(shift)
	newest := kept[len(kept)-1]
	end := s.clock.Where(newest)
	if s.standby.returning.Catching() {
		end = s.clock.Clock(newest.Track, now)
	}
	kept[0] = s.startSession(now, pub, kept[0], end)
	last, _ := s.clock.Last(kept[0].Track)
	for _, p := range standby.Squeeze(kept, s.clock.Where, last, end) {
		s.retainActive(pub, p.Packet)
		s.clock.Put(p.Packet, p.DTS, p.PTS)
		s.deliver(now, pub, p.Packet)
	}
	if !s.standby.returning.Catching() {
		s.standby.returning = standby.Returning{}
	}
}

// catchUp handles a packet of a backlog that drains slowly, when the session already feeds viewers
// again. Until the backlog has drained, video is placed at its arrival time and audio is dropped.
// s.mu is held.
func (s *Stream) catchUp(now time.Time, pub *publisherSession, p *packetbuf.Packet) {
	if s.standby.returning.Drained() {
		s.clock.Resume(s.standby.returning.Shift())
		s.standby.returning = standby.Returning{}
		s.place(now, pub, p)
		return
	}
	if p.Track == packetbuf.Audio && pub.HasVideo() {
		s.opts.Counters.Late.Add(1)
		return
	}
	s.retainActive(pub, p)
	at := s.clock.Clock(p.Track, now)
	s.clock.Put(p, at, at+p.CTO)
	s.deliver(now, pub, p)
}

// warnReturns logs that a push falls silent and returns too often. s.mu is held.
func (s *Stream) warnReturns(now time.Time, pub *publisherSession) {
	if !s.standby.flaps.Returned(now) {
		return
	}
	session := pub.session.ID()
	s.out.add(func() {
		s.opts.Log.Warn("publisher falls silent and returns too often; it resumes at a later keyframe", "session", session,
			"hint", "check the encoder and its line, or set silence to a longer time than its pauses")
	})
}
