package rtmp

import "time"

// bucket lets burst events through at once and then rate a second.
type bucket struct {
	rate, burst float64
	spent       float64
	last        time.Time
}

func (b *bucket) allow(now time.Time) bool {
	b.spent = max(0, b.spent-now.Sub(b.last).Seconds()*b.rate)
	b.last = now
	if b.spent+1 > b.burst {
		return false
	}
	b.spent++
	return true
}
