package publisher

import "time"

const (
	// latenessKept is how long the worst lateness is remembered.
	latenessKept = 2 * time.Second
	// latenessMost bounds the allowance that publishers get for the relay's lateness.
	latenessMost = 2 * time.Second
)

// Lateness measures how late the relay's own wake-ups are. The goroutines that read publishers'
// sockets are about as late as the one that measures. The zero value is that of a relay that was
// never late.
type Lateness struct {
	worst time.Duration
	at    time.Time
}

// Note records the lateness of one wake-up.
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
