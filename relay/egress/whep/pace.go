package whep

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// catchUpFactor is how many times faster than real time a backlog is sent.
	catchUpFactor = 4
	// maxLiveAge is the maximum age of a packet that counts as live and is sent without delay.
	maxLiveAge = 150 * time.Millisecond
	// maxGap is the maximum difference in DTS between two packets of one backlog.
	maxGap = time.Second
)

// pacer spreads a backlog over time. If it were sent at once, it could exceed the capacity of the
// viewer's connection.
type pacer struct {
	start time.Time     // start of the current backlog; zero if there is none
	from  time.Duration // DTS at which the backlog begins
	last  time.Duration
}

// wait returns how long to wait at time now before p is sent. It does not delay the first packet of
// a backlog, a keyframe.
func (b *pacer) wait(now time.Time, p *packetbuf.Packet) time.Duration {
	if !p.Media() {
		return 0
	}
	if now.Sub(p.Arrived) <= maxLiveAge {
		b.start = time.Time{}
		return 0
	}
	if b.start.IsZero() || (p.DTS-b.last).Abs() > maxGap { // a new backlog, or a repeat from a keyframe
		b.start, b.from = now, p.DTS
	}
	b.last = p.DTS
	return b.start.Add((p.DTS - b.from) / catchUpFactor).Sub(now)
}
