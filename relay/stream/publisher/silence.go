package publisher

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest/watchdog"
	"github.com/holdfast-live/holdfast/packetbuf"
)

// confirm is how long the socket must have had nothing to read before a verdict of silence. Bytes
// may have left it without having been handled: the goroutine that reads can be between the two.
const confirm = 50 * time.Millisecond

// Line is what a stream knows beside the arrivals of a session when it asks for a verdict.
type Line struct {
	// Known tells that Unread was asked for. Without it the relay's own Lateness stands in.
	Known  bool
	Unread bool // the session's socket has bytes to read
	// Lateness is how late the relay itself has been in the last seconds.
	Lateness time.Duration
}

// RoundTrip sets the transport's smoothed round-trip time and its mean deviation.
func (s *Session) RoundTrip(srtt, rttvar time.Duration) { s.watchdog.RoundTrip(srtt, rttvar) }

// SilenceNear reports whether a verdict of silence is near, so that Verdict needs to know whether
// the socket has bytes to read.
func (s *Session) SilenceNear(now time.Time) bool {
	return s.watchdog.Check(now.Add(confirm)) == watchdog.Silent
}

// Verdict returns what the arrivals say about the session. A silence that the relay's own lateness
// explains, because the socket has bytes to read or, where that is not known, because the relay
// itself was late, is only Late; postponed tells that.
func (s *Session) Verdict(now time.Time, line Line) (verdict watchdog.Verdict, postponed bool) {
	verdict = s.watchdog.Check(now)
	if !s.SilenceNear(now) {
		return verdict, false
	}
	late := line.Lateness
	if line.Known {
		late = 0 // whether there is something to read need not be guessed
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

// NextVerdict returns when Verdict may say something else although nothing arrives; zero if never.
func (s *Session) NextVerdict(now time.Time) time.Time {
	next := s.watchdog.Next(now)
	if early := next.Add(-confirm); early.After(now) && s.watchdog.Check(next) == watchdog.Silent {
		return early
	}
	return next
}

// FallsSilent reports, once, that a track has fallen silent while another goes on.
func (s *Session) FallsSilent(now time.Time, tr packetbuf.Track) bool {
	if s.silent[tr] || !s.watchdog.TrackSilent(now, tr) {
		return false
	}
	s.silent[tr] = true
	return true
}

// Silent reports whether a track has fallen silent and has not come back.
func (s *Session) Silent(tr packetbuf.Track) bool { return s.silent[tr] }

// ComesBack reports whether a packet of a track ends its silence.
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

// SinceMedia returns the time since the last media; 0 before the first.
func (s *Session) SinceMedia(now time.Time) time.Duration { return s.watchdog.Quiet(now) }

// Gap returns the longest gap between arrivals in the last 40 seconds.
func (s *Session) Gap() time.Duration { return s.watchdog.Gap() }
