package rtmpconn

import "time"

// rateLimit allows a burst of events at once, and then rate events per second.
type rateLimit struct {
	rate, burst float64
	used        float64
	last        time.Time
}

// allow reports whether an event at time now is within the limit, and counts the event if so.
func (l *rateLimit) allow(now time.Time) bool {
	l.used = max(0, l.used-now.Sub(l.last).Seconds()*l.rate)
	l.last = now
	if l.used+1 > l.burst {
		return false
	}
	l.used++
	return true
}
