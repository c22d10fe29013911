package whep

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// ahead is how much quicker than it was made a backlog is sent.
	ahead = 4
	// live is how old a packet is at the most that is sent as it comes.
	live = 150 * time.Millisecond
	// gap is how far apart two packets in a row may be; what lies further apart is not waited for.
	gap = time.Second
)

// pace spreads what a viewer has to catch up with, which sent in one piece would be more than
// its line holds.
type pace struct {
	begun time.Time     // of the backlog that is being sent; zero: none
	from  time.Duration // where that begins
	last  time.Duration
}

// wait is how long to wait before p is sent. A keyframe with which the backlog begins goes at
// once.
func (b *pace) wait(now time.Time, p *packetbuf.Packet) time.Duration {
	if !p.Media() {
		return 0
	}
	if now.Sub(p.Arrived) <= live {
		b.begun = time.Time{}
		return 0
	}
	if b.begun.IsZero() || (p.DTS-b.last).Abs() > gap { // a new one, or once more from the start
		b.begun, b.from = now, p.DTS
	}
	b.last = p.DTS
	return b.begun.Add((p.DTS - b.from) / ahead).Sub(now)
}
