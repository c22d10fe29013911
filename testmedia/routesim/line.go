package main

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/holdfast-live/holdfast/qos"
)

// Of the stream and its connections.
const (
	bitrate = 2.5e6                  // bit/s
	step    = 100 * time.Millisecond // of the simulation
	segment = 1448                   // bytes
	// most is how far a far side may fall behind before what is oldest is left out.
	most = 5 * time.Second
	// silent is how long a connection may deliver nothing before it counts as broken.
	silent = 3 * time.Second
	// patience is how long a dial may take.
	patience = 5 * time.Second
)

// line is a route's connection: what is sent waits until the bottleneck has carried it.
type line struct {
	up     bool
	since  time.Time
	queue  float64 // bytes
	still  time.Duration
	sample qos.Sample // of this second
	wobble float64    // of this second's rate, around 1
}

// capacity is what TCP makes of a line: the bottleneck, or what loss leaves (Mathis et al.).
func (c conditions) capacity() float64 {
	if c.loss == 0 || c.measured {
		return c.rate
	}
	return min(c.rate, segment*8*1.22/(c.rtt.Seconds()*math.Sqrt(c.loss)))
}

func (l *line) open(now time.Time) { *l = line{up: true, since: now, wobble: 1} }

// carry lets one step pass. fed tells whether the stream goes this way. It returns the bytes
// that arrived.
func (l *line) carry(c conditions, fed bool) float64 {
	if fed {
		l.queue += bitrate / 8 * step.Seconds()
	}
	arrived := min(l.queue, c.capacity()*l.wobble/8*step.Seconds())
	l.queue -= arrived
	waiting := l.queue > 0
	l.queue = min(l.queue, bitrate/8*most.Seconds()) // the oldest is left out
	if arrived == 0 && waiting {
		l.still += step
	} else {
		l.still = 0
	}
	s := &l.sample
	s.Limited = waiting && (s.Span == 0 || s.Limited)
	s.Stalled = l.still >= time.Second
	s.Span += step
	s.Delivered += uint64(arrived)
	s.Sent += uint64(arrived)
	s.Segments += uint64(arrived/segment) + 1
	return arrived
}

// measure is the sample of the second that ended now.
func (l *line) measure(now time.Time, c conditions, chance *rand.Rand) qos.Sample {
	s := l.sample
	l.sample = qos.Sample{}
	l.wobble = 1 + c.noise*(2*chance.Float64()-1)
	s.At = now
	s.Resent = uint64(c.loss * float64(s.Segments))
	if s.Stalled {
		s.Resent = s.Segments
	}
	s.Lag = time.Duration(l.queue / (bitrate / 8) * float64(time.Second))
	s.RTT, s.RTTVar = c.rtt, c.rtt/8
	s.Unsent = int(l.queue)
	return s
}

// dial is what a dial or a probe comes to, and how long it takes.
func (c conditions) dial(probe bool) (qos.Outcome, time.Duration) {
	trips := 7 // TCP, handshake, connect, publish, media
	if probe {
		trips = 4
	}
	switch {
	case c.down:
		return qos.DialFailed, c.rtt
	case c.rate == 0:
		return qos.DialTimeout, patience
	}
	return qos.DialOK, c.rtt * time.Duration(trips)
}
