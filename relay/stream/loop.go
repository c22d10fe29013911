package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/watchdog"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/filler"
	"github.com/holdfast-live/holdfast/relay/stream/publisher"
)

// heartbeat is how long a stream may be without packets before its viewers are woken anyway. An idle
// egress has to send something to keep NATs and proxies on the path from closing the connection.
const heartbeat = time.Second

// recheck is the delay after which a postponed verdict on a session is evaluated again.
const recheck = 20 * time.Millisecond

// A loop that wakes up late by overslept was suspended with the whole process: a virtual machine was
// migrated, or a laptop's lid was closed. Packets that arrived meanwhile wait in the sockets. For
// the time of respite they are read before any session is judged.
const (
	overslept = 500 * time.Millisecond
	respite   = 500 * time.Millisecond
)

// run waits for deadlines: verdicts on sessions, the end of a hold, and filler.
func (s *Stream) run() {
	timer := time.NewTimer(heartbeat)
	defer timer.Stop()
	for due := time.Now().Add(heartbeat); ; {
		select {
		case <-s.done:
			return
		case <-s.poked:
		case <-timer.C:
		}
		now := time.Now()
		late := now.Sub(due)
		s.locked(func() { s.lateness.Note(now, late) })
		if late < overslept {
			due = s.tick(now)
		} else {
			due = now.Add(respite)
		}
		timer.Reset(max(time.Millisecond, due.Sub(now)))
	}
}

// tick does what is due and returns the next deadline. While a session feeds the stream, its media
// only postpones deadlines, so writers need not notify the loop: a timer that fires early finds
// nothing due and is set again. A change of state may bring a deadline forward, and therefore pokes
// the loop.
func (s *Stream) tick(now time.Time) (next time.Time) {
	defer s.guard()
	s.locked(func() { next = s.doDue(now) })
	s.out.flush()
	return next
}

// guard is deferred by the loop, which handles data from publishers. It keeps a panic of the loop
// within the stream and ends the stream.
func (s *Stream) guard() {
	v := recover()
	if v == nil {
		return
	}
	panics.ReportRecovered(s.opts.Log, "stream deadlines", v)
	s.stop(ingest.Kick, "internal error")
}

// doDue does what is due and returns the next deadline. s.mu is held.
func (s *Stream) doDue(now time.Time) time.Time {
	next := now.Add(heartbeat)
	consider := func(at time.Time) {
		if at.After(now) && at.Before(next) {
			next = at
		}
	}
	for _, pub := range s.publishers {
		pub.RoundTrip(pub.session.RTT())
		if s.judge(now, pub) {
			consider(now.Add(recheck))
		}
		consider(pub.NextVerdict(now))
	}
	s.perform(now, s.machine.Tick(now))
	s.endIfIdle(now)
	if state, _ := s.machine.State(); state == lifecycle.Held {
		s.fillTo(now, s.clock.Clock(packetbuf.Video, now), s.clock.Clock(packetbuf.Audio, now))
		if s.filler != nil {
			consider(now.Add(filler.Every))
		}
		if due := s.rejoinDue(now); !due.IsZero() {
			consider(due)
		}
	}
	consider(s.machine.Next())
	if s.bridge.RenewDue(now) {
		s.askBridge(now)
	}
	if now.Sub(s.appended) >= heartbeat {
		s.appended = now
		s.wake.all()
	}
	return next
}

// judge acts on the verdict of a session's watchdog, and reports whether the verdict was postponed.
// s.mu is held.
func (s *Stream) judge(now time.Time, pub *publisherSession) (postponed bool) {
	line := publisher.Line{Lateness: s.lateness.Recent(now)}
	if b, ok := pub.session.(ingest.Backlogger); ok && pub.SilenceNear(now) {
		line.Known, line.Unread = true, b.Unread()
	}
	verdict, postponed := pub.Verdict(now, line)
	switch verdict {
	case watchdog.Never:
		s.perform(now, s.machine.Silent(now, pub.id, ingest.FirstMedia))
	case watchdog.Silent:
		s.perform(now, s.machine.Silent(now, pub.id, ingest.Silence))
	case watchdog.Late:
		s.perform(now, s.machine.Late(pub.id))
	case watchdog.Waiting, watchdog.Fine:
	}
	if pub.id != s.machine.Current() && pub.id != s.machine.Spare() {
		return postponed
	}
	for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		if pub.FallsSilent(now, tr) {
			if tr == packetbuf.Video {
				pub.gopWindow.Clear() // a switchover from before the gap would play across it
			}
			s.opts.Counters.TrackSilences[tr].Add(1)
			s.tellOf(pub, Event{Time: now, Type: TrackSilent, Track: tr.String(), Outcome: "silent"})
		}
	}
	if pub.Silent(packetbuf.Video) {
		s.machine.Ailed(now, pub.id)
	}
	return postponed
}
