package stream

import (
	"context"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

// Publish accepts a session, or returns an *ingest.Refusal. ErrEnded means that the stream has ended
// and that the caller has to create another.
func (s *Stream) Publish(_ context.Context, r ingest.Request) (ingest.Sink, error) {
	pub, err := s.admit(r, time.Now())
	if pub != nil {
		s.poke()
	}
	s.out.flush()
	if err != nil {
		return nil, err
	}
	return pub, nil
}

// admit accepts a session, or returns the error of Publish.
func (s *Stream) admit(r ingest.Request, now time.Time) (*publisherSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.lastID + 1
	a, effects := s.machine.Publish(now, id, r.Backup)
	if !a.OK {
		ended := s.machine.Current() == 0 && a.Outcome == "" && !a.Flaps
		if !ended && (!a.Flaps || s.warnFlapping(now)) {
			s.tell(Event{
				Time: now, Type: Refused, Session: r.Session.ID(), Protocol: r.Protocol, Remote: r.Remote,
				Outcome: string(refusal(a).Outcome), Takeover: a.Outcome, Detail: a.Reason,
			})
		}
		if ended {
			return nil, ErrEnded
		}
		return nil, refusal(a)
	}
	s.lastID = id
	pub := newPublisherSession(s, id, r, now)
	s.publishers[id] = pub
	s.perform(now, effects)
	s.tellOf(pub, Event{Time: now, Type: Published, Outcome: string(ingest.Accepted), Takeover: a.Outcome, Detail: r.Agent})
	return pub, nil
}

// warnFlapping counts a push that is refused because the stream's pushes break off and return too
// often. At most once a minute it logs a warning and returns true. s.mu is held.
func (s *Stream) warnFlapping(now time.Time) bool {
	refused, tell := s.standby.flaps.Refused(now)
	if !tell {
		return false
	}
	s.out.add(func() {
		s.opts.Log.Warn("publishers break off and return too often; some pushes refused", "refused", refused, "hint", "check the encoder and its line")
	})
	return true
}

// refusal returns the refusal of a push that the lifecycle did not admit.
func refusal(a lifecycle.Admission) *ingest.Refusal {
	r := &ingest.Refusal{Outcome: ingest.RefusedTakeover, Reason: a.Reason, RetryAfter: a.Wait}
	r.Hint = "stop the other push first"
	if a.Flaps {
		r.Outcome, r.Hint = ingest.RefusedLimit, "make the encoder wait longer before it reconnects"
		return r
	}
	if a.Wait > 0 {
		r.Hint = "stop the other push, or try again in " + a.Wait.Round(time.Second).String()
	}
	return r
}
