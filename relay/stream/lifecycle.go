package stream

import (
	"cmp"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/standby"
)

// breakDetails says, by cause, how a push broke or ended.
var breakDetails = map[ingest.Cause]string{
	ingest.Reset:      "the publisher's connection failed",
	ingest.EOF:        "the publisher's connection was closed without an unpublish",
	ingest.Silence:    "the publisher sent no media for too long",
	ingest.FirstMedia: "no media came after publish",
	ingest.Timeout:    "the publisher's connection timed out",
	ingest.ICE:        "the publisher's ICE connection failed",
	ingest.Takeover:   "another push took over the stream",
	ingest.Unpublish:  "the publisher ended the stream",
	ingest.Kick:       "the relay closed the push",
	ingest.Shutdown:   "the relay is shutting down",
	ingest.Protocol:   "the publisher broke the protocol",
}

// closeReasons says, by cause, why a publisher's session is closed. The publisher is told.
var closeReasons = map[ingest.Cause]string{
	ingest.Takeover:   "another push has taken over this stream",
	ingest.FirstMedia: "no media came after publish",
	ingest.Silence:    "no media, or no keyframe, came for too long",
}

// ending records how pushes broke or ended, and why the stream ended.
type ending struct {
	breaks     map[ingest.Cause]int
	lastBreak  ingest.Cause // cause of the latest break or end of a push
	lastDetail string       // detail of the same push
	reason     string       // why the stream ended, as viewers are told
}

// setReason sets why the stream ended, unless the reason is known already. For a stream that never
// began, the reason is how its last push ended.
func (e *ending) setReason(cause ingest.Cause, began bool) {
	switch {
	case e.reason != "":
	case cause == ingest.Unpublish:
		e.reason = breakDetails[cause]
	case began:
		e.reason = "the publisher did not come back"
	default:
		e.reason = cmp.Or(e.lastDetail, breakDetails[cause])
	}
}

// sessionProbe answers the lifecycle's queries about its sessions. Its methods are called with s.mu
// held.
type sessionProbe struct{ s *Stream }

// Quiet returns how long a session has sent no media, or an hour if the session is gone.
func (p sessionProbe) Quiet(id lifecycle.ID, now time.Time) time.Duration {
	pub := p.s.publishers[id]
	if pub == nil {
		return time.Hour
	}
	return pub.Quiet(now)
}

// Ready reports whether the standby can take over at once.
func (p sessionProbe) Ready(id lifecycle.ID, now time.Time) bool {
	pub := p.s.publishers[id]
	return pub != nil && pub.HasMedia() && !pub.Silent(packetbuf.Video) && pub.gopWindow.Ready(pub.SinceMedia(now), p.s.frozen)
}

// perform carries out the lifecycle's decisions. s.mu is held; its holder flushes the outbox.
func (s *Stream) perform(now time.Time, effects []lifecycle.Effect) {
	for _, e := range effects {
		pub := s.publishers[e.ID]
		switch e.Kind {
		case lifecycle.Broke:
			s.noteBreak(now, pub, e)
		case lifecycle.Resumed:
			s.tellOf(pub, Event{Time: now, Type: Resumed, Cause: e.Cause, Outage: e.Outage})
		case lifecycle.Close:
			s.dismiss(pub, e.Cause, cmp.Or(closeReasons[e.Cause], s.ending.reason))
		case lifecycle.Changed:
			s.enterState(now, pub, e)
		case lifecycle.Turned:
			s.switchOver(now, pub, e.Cause)
		}
	}
}

// noteBreak reports that a push broke or ended. s.mu is held.
func (s *Stream) noteBreak(now time.Time, pub *publisherSession, why lifecycle.Effect) {
	detail := cmp.Or(s.ending.reason, breakDetails[why.Cause])
	if pub != nil {
		detail = cmp.Or(pub.detail, detail)
	}
	s.ending.breaks[why.Cause]++
	s.ending.lastBreak, s.ending.lastDetail = why.Cause, detail
	e := Event{Time: now, Type: Broke, Cause: why.Cause, Standby: why.Spare, Detail: detail}
	if pub != nil {
		if e.Cause == ingest.Silence || e.Cause == ingest.Timeout || e.Cause == ingest.ICE {
			e.Detect = pub.SinceMedia(now)
		}
		pub.stopped = why.Spare
	}
	s.tellOf(pub, e)
}

// enterState carries out the lifecycle's change to another state. s.mu is held.
func (s *Stream) enterState(now time.Time, pub *publisherSession, e lifecycle.Effect) {
	s.since = now
	s.tellOf(pub, Event{Time: now, Type: State, From: e.From, To: e.To, Cause: e.Cause})
	s.poke()
	switch e.To {
	case lifecycle.Held:
		s.clock.Break()
		s.standby.returning = standby.Returning{}
		s.standby.sentWindow.Clear()
		s.startFiller(now)
	case lifecycle.Ended:
		s.finish(now, e.Cause)
	}
}

// dismiss closes a session and removes it from the stream. s.mu is held; its holder flushes the
// outbox.
func (s *Stream) dismiss(pub *publisherSession, cause ingest.Cause, reason string) {
	if pub == nil {
		return
	}
	s.remove(pub)
	pub.gone, pub.close = true, func() { pub.session.Close(cause, cmp.Or(reason, "the stream was closed")) }
	s.out.add(pub.close)
}

// remove removes a session from the stream. s.mu is held.
func (s *Stream) remove(pub *publisherSession) {
	delete(s.publishers, pub.id)
	pub.memory.Close()
}

// stop ends the stream.
func (s *Stream) stop(cause ingest.Cause, reason string) {
	s.locked(func() {
		s.ending.reason = cmp.Or(s.ending.reason, reason)
		s.perform(time.Now(), s.machine.Stop(cause))
	})
	s.out.flush()
}

// endIfIdle ends a stream that never began and has no session left that could begin it. s.mu is held.
func (s *Stream) endIfIdle(now time.Time) {
	if state, _ := s.machine.State(); state == lifecycle.Idle && s.machine.Current() == 0 && s.machine.Waiting() == 0 && s.machine.Spare() == 0 {
		s.perform(now, s.machine.Stop(cmp.Or(s.ending.lastBreak, ingest.Unpublish)))
	}
}

// finish notifies viewers, observers and the owner that the stream has ended. s.mu is held.
func (s *Stream) finish(now time.Time, cause ingest.Cause) {
	s.ending.setReason(cause, s.epoch > 0)
	s.tell(Event{Time: now, Type: Ended, Cause: cause, Detail: s.ending.reason})
	close(s.done)
	s.ring.Discharge()
	s.wake.all()
	if s.opts.OnEnd != nil {
		s.out.add(func() { s.opts.OnEnd(s) })
	}
}
