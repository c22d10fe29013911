package publisher

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest/watchdog"
	"github.com/holdfast-live/holdfast/packetbuf"
)

// confirm is how long the socket must have had nothing to read before a verdict of silence. Bytes
// may have been read from the socket and not yet handled by the reading goroutine.
const confirm = 50 * time.Millisecond

// Line is what a stream knows about a session's connection, beside its packets, when it asks for a
// verdict.
type Line struct {
	// Known reports whether Unread is valid. If not, Lateness is used instead.
	Known  bool
	Unread bool // whether the session's socket has bytes to read
	// Lateness is how late the relay itself was in the last seconds.
	Lateness time.Duration
}

// RoundTrip sets the transport's smoothed round-trip time and its mean deviation.
func (s *Session) RoundTrip(srtt, rttvar time.Duration) { s.watchdog.RoundTrip(srtt, rttvar) }

// SilenceNear reports whether a verdict of silence is near, so that Verdict needs to know whether
// the socket has bytes to read.
func (s *Session) SilenceNear(now time.Time) bool {
	return s.watchdog.Check(now.Add(confirm)) == watchdog.Silent
}

// Verdict returns the watchdog's verdict on the session. A silence that the relay may have caused
// itself is reduced to Late, and postponed is true. That is the case if the socket has bytes to
// read, or, if that is unknown, if the relay itself was late.
func (s *Session) Verdict(now time.Time, line Line) (verdict watchdog.Verdict, postponed bool) {
	verdict = s.watchdog.Check(now)
	if !s.SilenceNear(now) {
		return verdict, false
	}
	late := line.Lateness
	if line.Known {
		late = 0 // no need to guess whether there is something to read
	}
	if line.Known && line.Unread {
		s.emptySince = time.Time{}
	} else if s.emptySince.IsZero() || s.emptySince.Before(s.watchdog.Last()) {
		s.emptySince = now
	}
	if verdict != watchdog.Silent {
		return verdict, false
	}
	if s.emptySince.IsZero() || now.Sub(s.emptySince) < confirm || s.watchdog.Check(now.Add(-late)) != watchdog.Silent {
		return watchdog.Late, true
	}
	return watchdog.Silent, false
}

// NextVerdict returns when the result of Verdict may change if nothing arrives, or zero if never.
func (s *Session) NextVerdict(now time.Time) time.Time {
	next := s.watchdog.Next(now)
	if early := next.Add(-confirm); early.After(now) && s.watchdog.Check(next) == watchdog.Silent {
		return early
	}
	return next
}

// FallsSilent reports, once, that a track has fallen silent while another continues.
func (s *Session) FallsSilent(now time.Time, tr packetbuf.Track) bool {
	if s.silent[tr] || !s.watchdog.TrackSilent(now, tr) {
		return false
	}
	s.silent[tr] = true
	return true
}

// Silent reports whether a track has fallen silent and has not returned.
func (s *Session) Silent(tr packetbuf.Track) bool { return s.silent[tr] }

// ComesBack ends the silence of a track, of which a packet has arrived. It reports whether the track
// was silent.
func (s *Session) ComesBack(tr packetbuf.Track) bool {
	was := s.silent[tr]
	s.silent[tr] = false
	return was
}

// Quiet returns the time since the last media, or since the session was accepted.
func (s *Session) Quiet(now time.Time) time.Duration {
	if s.packets == 0 {
		return now.Sub(s.accepted)
	}
	return s.watchdog.Quiet(now)
}

// SinceMedia returns the time since the last media, or 0 before the first.
func (s *Session) SinceMedia(now time.Time) time.Duration { return s.watchdog.Quiet(now) }

// Gap returns the longest gap between arrivals in the last 40 seconds.
func (s *Session) Gap() time.Duration { return s.watchdog.Gap() }
