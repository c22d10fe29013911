package stream

import (
	"errors"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/standby"
)

var errSuperseded = errors.New("the session has no part in the stream any more")

// Write handles one packet from the publisher. See ingest.Sink.
func (pub *publisherSession) Write(p *packetbuf.Packet) error {
	var (
		err error
		end func()
	)
	pub.stream.locked(func() {
		err = pub.stream.receive(pub, p)
		end = pub.close
	})
	if err != nil && end != nil {
		end() // first, because the error alone would end the session without a reason
	}
	pub.stream.out.flush()
	return err
}

// End ends the session. See ingest.Sink.
func (pub *publisherSession) End(cause ingest.Cause, detail string) {
	s := pub.stream
	s.locked(func() {
		if pub.gone {
			return
		}
		pub.gone, pub.detail = true, detail
		now := time.Now()
		s.perform(now, s.machine.End(now, pub.id, cause))
		s.remove(pub)
		s.endIfIdle(now)
	})
	s.poke()
	s.out.flush()
}

// receive handles a packet from a publisher session. s.mu is held.
func (s *Stream) receive(pub *publisherSession, p *packetbuf.Packet) error {
	if pub.gone {
		return errSuperseded
	}
	if p.Arrived.IsZero() {
		p.Arrived = time.Now()
	}
	now := p.Arrived
	s.opts.Counters.ingestBytes[pub.counter].Add(uint64(len(p.Payload)))
	switch {
	case p.Kind == packetbuf.Config:
		s.configure(pub, p)
		return nil
	case p.Track == packetbuf.Data:
		if pub.id == s.machine.Current() && s.feeding() && s.clock.Place(p) {
			s.appendToRing(now, p)
		}
		return nil
	}
	s.received += uint64(len(p.Payload))
	pub.Note(now, p)
	s.opts.Counters.IngestFrames[p.Track].Add(1)
	onStandby := pub.id == s.machine.Spare()
	key := pub.Classify(now, p, onStandby)
	if s.frozen && !onStandby && p.Track == packetbuf.Video && !pub.ResetsDecoder(p) {
		if key = false; s.feeding() { // only audio has been fed so far
			return s.carryOut(now, pub, p, lifecycle.Late)
		}
	}
	s.noteReturn(pub, p)
	if onStandby && !s.keep(now, pub, p) {
		return errSuperseded
	}
	catching := false
	if s.returns(pub) {
		catching = s.standby.returning.Catching()
		if s.keepReturning(now, pub, p, key) {
			return nil
		}
		key = key && catching
	}
	action, effects := s.machine.Media(now, pub.id, key)
	s.perform(now, effects)
	switch {
	case action != lifecycle.Pass:
		return s.carryOut(now, pub, p, action)
	case catching:
		s.catchUp(now, pub, p)
	default:
		s.place(now, pub, p)
	}
	return nil
}

// carryOut carries out the lifecycle's decision on a media packet that is not simply passed to the
// viewers. s.mu is held.
func (s *Stream) carryOut(now time.Time, pub *publisherSession, p *packetbuf.Packet, action lifecycle.Action) error {
	switch action {
	case lifecycle.Refuse:
		return errSuperseded
	case lifecycle.Late:
		s.opts.Counters.Late.Add(1)
		if p.Track == packetbuf.Video {
			pub.requestKey()
		}
	case lifecycle.Keep: // a switchover starts viewers at its newest keyframe
		if p.Track == packetbuf.Video && pub.gopWindow.KeyframeAge(now) >= staleKeyframe {
			pub.requestKey()
		}
	case lifecycle.Ask, lifecycle.Drop: // until the session starts with a keyframe
		if p.Track == packetbuf.Video {
			pub.requestKey()
		}
	case lifecycle.Splice:
		s.splice(now, pub, p)
	case lifecycle.Pass: // receive places it
	}
	return nil
}

// noteReturn reports that a silent track has returned. No packet of it was lost: viewers who have
// its last frame can decode the next one, and viewers who joined since then wait for a keyframe; see
// Reader.decodable. s.mu is held.
func (s *Stream) noteReturn(pub *publisherSession, p *packetbuf.Packet) {
	if !pub.ComesBack(p.Track) {
		return
	}
	if p.Track == packetbuf.Video {
		s.machine.Ailed(p.Arrived, pub.id)
	}
	s.tellOf(pub, Event{Time: p.Arrived, Type: TrackSilent, Track: p.Track.String(), Outcome: "back"})
}

// keep stores a packet of the standby. It returns false if the standby is a backup that cannot take
// over from the live session; the backup is then closed. s.mu is held.
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
