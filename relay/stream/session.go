package stream

import (
	"errors"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/budget"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/publisher"
	"github.com/holdfast-live/holdfast/relay/stream/standby"
)

var errSuperseded = errors.New("the session has no part in the stream any more")

// publisherSession is one accepted publisher session: an ingest.Sink. Its fields are guarded by the
// stream's lock.
type publisherSession struct {
	*publisher.Session
	stream   *Stream
	id       lifecycle.ID
	req      ingest.Request
	session  ingest.Session
	accepted time.Time
	gone     bool
	close    func() // closes the session, once it was dismissed
	detail   string // of its end
	counter  int    // its index in Counters.ingestBytes

	repairs *ingest.RepairLog // of its timestamps; nil: none had to be repaired
	keyless bool              // it has been logged that viewers are refused for want of a keyframe

	gopWindow standby.Window  // what a switchover needs: of the standby, and of the active session while there is one
	memory    *budget.Account // of gopWindow
	stopped   bool            // it has counted as silent while it was the standby, and has sent nothing since
}

func newPublisherSession(s *Stream, id lifecycle.ID, r ingest.Request, now time.Time) *publisherSession {
	return &publisherSession{
		Session: publisher.NewSession(s.cfg.Load().watchdog(), now),
		stream:  s, id: id, req: r, session: r.Session, accepted: now,
		counter: index(protocols[:], r.Protocol), memory: s.opts.Memory.Open(budget.Packets, nil),
	}
}

// Write takes one packet from the publisher. See ingest.Sink.
func (pub *publisherSession) Write(p *packetbuf.Packet) error {
	var (
		err  error
		news bool
		end  func()
	)
	pub.stream.locked(func() {
		err = pub.stream.receive(pub, p)
		news, end = len(pub.stream.out.queue) > 0, pub.close
	})
	if err != nil && end != nil {
		end() // before the error ends the session for no reason of its own
	}
	if news {
		pub.stream.flush()
	}
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
	s.flush()
}

// receive takes a packet from a publisher session. s.mu is held.
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
			s.append(now, p)
		}
		return nil
	}
	s.received += uint64(len(p.Payload))
	pub.Note(now, p)
	s.opts.Counters.IngestFrames[p.Track].Add(1)
	spare := pub.id == s.machine.Spare()
	key := pub.Classify(now, p, spare)
	if s.frozen && !spare && p.Track == packetbuf.Video && !pub.ResetsDecoder(p) {
		if key = false; s.feeding() { // with audio alone so far
			s.opts.Counters.Late.Add(1)
			s.requestKey(pub)
			return nil
		}
	}
	s.noteReturn(pub, p)
	if spare && !s.keep(now, pub, p) {
		return errSuperseded
	}
	if s.returns(pub) {
		return s.takeReturning(now, pub, p, key)
	}
	action, effects := s.machine.Media(now, pub.id, key)
	s.perform(now, effects)
	return s.use(now, pub, p, action)
}

// use does with a media packet what the lifecycle decided. s.mu is held.
func (s *Stream) use(now time.Time, pub *publisherSession, p *packetbuf.Packet, action lifecycle.Action) error {
	switch action {
	case lifecycle.Refuse:
		return errSuperseded
	case lifecycle.Late:
		s.opts.Counters.Late.Add(1)
		if p.Track == packetbuf.Video {
			s.requestKey(pub)
		}
	case lifecycle.Keep: // viewers go back to its newest keyframe
		if p.Track == packetbuf.Video && pub.gopWindow.KeyframeAge(now) >= oldKey {
			s.requestKey(pub)
		}
	case lifecycle.Ask, lifecycle.Drop: // until it starts with a keyframe
		if p.Track == packetbuf.Video {
			s.requestKey(pub)
		}
	case lifecycle.Splice:
		s.splice(now, pub, p)
	case lifecycle.Pass:
		s.pass(now, pub, p)
	}
	return nil
}

// feeding reports whether viewers get what a publisher sends. s.mu is held.
func (s *Stream) feeding() bool {
	state, _ := s.machine.State()
	return state == lifecycle.Live || state == lifecycle.Suspect
}

// noteReturn reports that a track which had fallen silent goes on. Nothing of it was lost: viewers
// who have its last frame can decode the next, and those who joined since wait for a keyframe; see
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

// noteRepairs reports what the clock has corrected in a track since the last call: counted, and
// logged once a session. s.mu is held.
func (s *Stream) noteRepairs(pub *publisherSession, tr packetbuf.Track) {
	news := s.repairs.News(tr, s.clock.Corrections(tr), s.clock.Derived())
	if news == nil {
		return
	}
	if pub.repairs == nil {
		pub.repairs = ingest.NewRepairLog(s.opts.Repairs, s.opts.Log.With("session", pub.session.ID()))
	}
	repairs := pub.repairs
	s.out.queue = append(s.out.queue, func() { repairs.Note(news) })
}
