package faultnet

import (
	"math/rand/v2"
	"time"
)

// UDPFaults describes what happens to the datagrams of a direction. With the zero value, nothing does.
type UDPFaults struct {
	// Loss and Duplicate are probabilities from 0 to 1. Lost datagrams use no capacity of the line.
	Loss, Duplicate float64
	// Delay is the transit time of a datagram. A random time from 0 to Jitter is added to it, which
	// reorders datagrams unless Ordered is set.
	Delay, Jitter time.Duration
	Ordered       bool
	// Rate is the capacity of the line in bytes per second, shared by all clients; 0: unlimited. Up to
	// Queue bytes (default 64 KiB) wait; more are dropped.
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
	faults      UDPFaults
	blackHole   bool      // all datagrams are lost
	lineFree    time.Time // when the line has sent everything in the queue
	lastArrival time.Time // latest arrival so far
	rng         *rand.Rand
}

func newUDPLine(seed uint64, direction Direction, f UDPFaults) *udpLine {
	return &udpLine{faults: f.withDefaults(), rng: rand.New(rand.NewPCG(seed, uint64(direction)))} //nolint:gosec // reproducible on purpose
}

// schedule returns the arrival times of a datagram sent now: none, one or two. Each call uses the same
// number of random numbers, so that the fate of one datagram does not change that of later ones.
func (l *udpLine) schedule(now time.Time, size int) (at [2]time.Time, times int) {
	f := l.faults
	lost, twice := l.rng.Float64() < f.Loss, l.rng.Float64() < f.Duplicate
	luck := [2]float64{l.rng.Float64(), l.rng.Float64()}
	if lost || l.blackHole {
		return at, 0
	}
	// A line whose limit was just removed still drains its queue first.
	if l.lineFree.Before(now) {
		l.lineFree = now
	}
	if f.Rate > 0 {
		waiting := l.lineFree.Sub(now).Seconds() * float64(f.Rate)
		if waiting+float64(size) > float64(f.Queue) {
			return at, 0
		}
		l.lineFree = l.lineFree.Add(time.Duration(float64(size) / float64(f.Rate) * float64(time.Second)))
	}
	for i := range at {
		at[i] = l.lineFree.Add(f.Delay + time.Duration(luck[i]*float64(f.Jitter)))
		if f.Ordered && at[i].Before(l.lastArrival) {
			at[i] = l.lastArrival
		}
		if at[i].After(l.lastArrival) {
			l.lastArrival = at[i]
		}
		if !twice {
			return at, 1
		}
	}
	return at, len(at)
}
