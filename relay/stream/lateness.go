package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/watchdog"
)

const (
	// latenessKept is how long the loop's worst lateness counts.
	latenessKept = 2 * time.Second
	// latenessMost bounds what a publisher is granted for it.
	latenessMost = 2 * time.Second
)

// lateness is by how much the relay's own wake-ups were late. What the loop suffered, the
// goroutines that read publishers' sockets suffer too.
type lateness struct {
	worst time.Duration
	at    time.Time
}

// note takes the lateness of one wake-up.
func (l *lateness) note(now time.Time, late time.Duration) {
	if late > l.recent(now) {
		l.worst, l.at = min(late, latenessMost), now
	}
}

// recent returns the worst lateness of the last seconds.
func (l *lateness) recent(now time.Time) time.Duration {
	if l.worst <= 0 || now.Sub(l.at) > latenessKept {
		return 0
	}
	return l.worst
}

func (s *Stream) noteLateness(now time.Time, late time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lateness.note(now, late)
}

const (
	// confirm is how long the socket must have had nothing to read before a verdict. Bytes may
	// have left it and not have been handled: the goroutine that reads can stand in between.
	confirm = 50 * time.Millisecond
	// recheck is how soon a verdict that was put off is asked for again.
	recheck = 20 * time.Millisecond
)

// check asks a session's watchdog. A silence that the relay's own lateness explains, because
// the session's socket has bytes to read or, where that is not known, because the loop itself
// woke late, is only Late.
// s.mu is held.
func (s *Stream) check(now time.Time, f *feed) watchdog.Verdict {
	verdict, soon := f.dog.Check(now), f.dog.Check(now.Add(confirm))
	if soon != watchdog.Silent {
		return verdict
	}
	late := s.lateness.recent(now)
	b, known := f.session.(ingest.Backlogger)
	if known {
		late = 0 // whether there is something to read need not be guessed
	}
	if known && b.Unread() {
		f.unheard = time.Time{}
	} else if f.unheard.IsZero() || f.unheard.Before(f.dog.Last()) {
		f.unheard = now
	}
	if verdict != watchdog.Silent {
		return verdict
	}
	if f.unheard.IsZero() || now.Sub(f.unheard) < confirm || f.dog.Check(now.Add(-late)) != watchdog.Silent {
		return watchdog.Late
	}
	return watchdog.Silent
}

// nextCheck returns when check may say something else; zero if it does not.
func (f *feed) nextCheck(now time.Time) time.Time {
	next := f.dog.Next(now)
	if early := next.Add(-confirm); early.After(now) && f.dog.Check(next) == watchdog.Silent {
		return early
	}
	return next
}
