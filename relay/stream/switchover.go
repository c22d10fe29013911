package stream

import (
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/standby"
)

// Ready tells the lifecycle whether a standby can take over at once. s.mu is held.
func (p sessionProbe) Ready(id lifecycle.ID, now time.Time) bool {
	pub := p.s.publishers[id]
	return pub != nil && pub.HasMedia() && !pub.Silent(packetbuf.Video) && pub.gopWindow.Ready(pub.SinceMedia(now), p.s.frozen)
}

// keep holds a packet of the standby. It returns false where a backup cannot follow what is live.
// s.mu is held.
func (s *Stream) keep(now time.Time, pub *publisherSession, p *packetbuf.Packet) bool {
	if pub.req.Backup && s.feeding() {
		if err := standby.Follows(s.lastKey, p); err != nil {
			pub.detail = err.Error()
			s.perform(now, s.machine.End(now, pub.id, ingest.Protocol))
			s.dismiss(pub, ingest.Protocol, pub.detail)
			return false
		}
	}
	if pub.stopped {
		pub.stopped = false
		pub.gopWindow.CutAtHole(p)
	}
	pub.retain(p)
	return true
}

// retain keeps p, as it came, for a switchover.
func (pub *publisherSession) retain(p *packetbuf.Packet) {
	limits := pub.stream.cfg.Load().Buffer
	limits.Bytes = int(min(int64(limits.Bytes), pub.memory.Share()))
	key := p.Kind == packetbuf.Key
	pub.gopWindow.Add(p, key, key && (p.Track != packetbuf.Video || pub.ResetsDecoder(p)), limits)
	pub.memory.Set(pub.gopWindow.Bytes())
}

// retainActive keeps p of the session that feeds the stream, as it came, while there is a standby:
// the two may change places. s.mu is held.
func (s *Stream) retainActive(pub *publisherSession, p *packetbuf.Packet) {
	if s.machine.Spare() == 0 {
		pub.gopWindow.Clear()
		pub.memory.Set(0)
		return
	}
	kind := p.Kind
	if p.Track == packetbuf.Audio && pub.HasVideo() {
		kind = packetbuf.Delta // where its video is silent, viewers may start with audio
	}
	pub.retain(&packetbuf.Packet{
		Track: p.Track, Codec: p.Codec, Kind: kind, DTS: p.DTS, CTO: p.CTO, Arrived: p.Arrived, Payload: p.Payload,
	})
}

// retainSent notes a packet that viewers have had, while there is a standby that might have it too.
// s.mu is held.
func (s *Stream) retainSent(p *packetbuf.Packet) {
	if s.machine.Spare() == 0 {
		s.sentWindow.Clear()
		return
	}
	s.sentWindow.Add(p, true, false, s.cfg.Load().Buffer)
}

// switchOver makes session pub, the standby so far, feed the stream: with the very next frame where
// it is the same encoder's as viewers have had, otherwise from its newest keyframe. s.mu is held.
func (s *Stream) switchOver(now time.Time, pub *publisherSession, cause ingest.Cause) {
	if old := s.publishers[s.machine.Spare()]; old != nil && cause != "" {
		old.gopWindow.Clear() // it has broken, and starts anew where it comes back
	}
	e := Event{Time: now, Type: BackupOff, Cause: cause, After: s.activeSession}
	s.returning = standby.Returning{}
	track := packetbuf.Video
	if !s.present[packetbuf.Video] {
		track = packetbuf.Audio
	}
	plan := standby.Plan(s.sentWindow, pub.gopWindow, track, s.frozen, pub.SameConfigs(s.sent), s.clock.Same)
	pub.gopWindow.Clear()
	if plan.Aligned != nil {
		s.follow(now, pub, plan)
	} else {
		s.splice(now, pub, plan.Packets[0])
		for _, p := range plan.Packets[1:] {
			s.pass(now, pub, p)
		}
	}
	if pub.req.Backup {
		e.Type = BackupOn
		if wait := s.machine.ReturnAfter(); wait > s.cfg.Load().BackupReturn {
			e.Detail = fmt.Sprintf("the primary broke soon after its return: it has the stream again when it has been healthy for %v", wait)
		}
	}
	s.tellOf(pub, e)
}

// follow goes on with a standby that has what viewers have had. s.mu is held.
func (s *Stream) follow(now time.Time, pub *publisherSession, plan standby.Switchover) {
	s.clock.Follow(plan.Aligned, plan.At)
	s.activate(now, pub)
	for _, p := range plan.Packets {
		if last, begun := s.clock.Last(p.Track); !begun || s.clock.Where(p) > last {
			s.pass(now, pub, p)
		} else {
			s.retainActive(pub, p)
		}
	}
}

// activate notes that session pub feeds the stream from now on. s.mu is held.
func (s *Stream) activate(now time.Time, pub *publisherSession) {
	s.activeSession = pub.session.ID()
	pub.Join(now)
	if s.ceilings.least() > 0 {
		s.limit(pub)
	}
}
