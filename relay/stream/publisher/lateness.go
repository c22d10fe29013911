package publisher

import "time"

const (
	// latenessKept is how long the relay's worst lateness counts.
	latenessKept = 2 * time.Second
	// latenessMost bounds what a publisher is granted for it.
	latenessMost = 2 * time.Second
)

// Lateness is how late the relay's own wake-ups were. The goroutines that read publishers' sockets
// are late by as much as the one that measures. The zero value is a relay that was never late.
type Lateness struct {
	worst time.Duration
	at    time.Time
}

// Note takes the lateness of one wake-up.
func (l *Lateness) Note(now time.Time, late time.Duration) {
	if late > l.Recent(now) {
		l.worst, l.at = min(late, latenessMost), now
	}
}

// Recent returns the worst lateness of the last two seconds, at most two seconds.
func (l *Lateness) Recent(now time.Time) time.Duration {
	if l.worst <= 0 || now.Sub(l.at) > latenessKept {
		return 0
	}
	return l.worst
}
