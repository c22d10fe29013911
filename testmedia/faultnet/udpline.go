package faultnet

import (
	"math/rand/v2"
	"time"
)

// UDPFaults is what a direction does to datagrams. Nothing is done by the zero value.
type UDPFaults struct {
	// Loss and Duplicate are chances from 0 to 1. What is lost takes no room on the line.
	Loss, Duplicate float64
	// Delay is the way of a datagram; Jitter is added to it, evenly spread from 0. One that
	// is lucky overtakes others, but not with Ordered.
	Delay, Jitter time.Duration
	Ordered       bool
	// Rate is that of the line in bytes per second, for all clients together; 0 is without
	// limit. What comes faster waits, up to Queue bytes (64 KiB); what comes on top is
	// dropped.
	Rate, Queue int
}

func (f UDPFaults) withDefaults() UDPFaults {
	if f.Queue <= 0 {
		f.Queue = 64 << 10
	}
	return f
}

// udpLine decides what happens to the datagrams of a direction.
type udpLine struct {
	faults UDPFaults
	dark   bool      // nothing passes
	free   time.Time // when the line has sent what waits
	last   time.Time // when the latest arrives
	chance *rand.Rand
}

func newUDPLine(seed uint64, d Direction, f UDPFaults) *udpLine {
	return &udpLine{faults: f.withDefaults(), chance: rand.New(rand.NewPCG(seed, uint64(d)))} //nolint:gosec // chances are to repeat
}

// pass tells when a datagram that is sent now arrives, and how often: never, once or twice.
// Each takes as many random numbers, so that what happens to one datagram does not change
// the luck of those after it.
func (l *udpLine) pass(now time.Time, size int) (at [2]time.Time, times int) {
	f := l.faults
	lost, twice := l.chance.Float64() < f.Loss, l.chance.Float64() < f.Duplicate
	luck := [2]float64{l.chance.Float64(), l.chance.Float64()}
	if lost || l.dark {
		return at, 0
	}
	// Also a line that has just lost its limit sends first what waits already.
	if l.free.Before(now) {
		l.free = now
	}
	if f.Rate > 0 {
		waiting := l.free.Sub(now).Seconds() * float64(f.Rate)
		if waiting+float64(size) > float64(f.Queue) {
			return at, 0
		}
		l.free = l.free.Add(time.Duration(float64(size) / float64(f.Rate) * float64(time.Second)))
	}
	for i := range at {
		at[i] = l.free.Add(f.Delay + time.Duration(luck[i]*float64(f.Jitter)))
		if f.Ordered && at[i].Before(l.last) {
			at[i] = l.last
		}
		if at[i].After(l.last) {
			l.last = at[i]
		}
		if !twice {
			return at, 1
		}
	}
	return at, len(at)
}
