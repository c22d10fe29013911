package main

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/holdfast-live/holdfast/qos"
)

// Parameters of the stream and of connections.
const (
	bitrate = 2.5e6                  // bit/s
	step    = 100 * time.Millisecond // of the simulation
	segment = 1448                   // bytes
	// maxBehind is how far the destination may fall behind before the oldest data is dropped.
	maxBehind = 5 * time.Second
	// stallTimeout is how long a connection may deliver nothing before it counts as broken.
	stallTimeout = 3 * time.Second
	// dialTimeout is how long a dial may take.
	dialTimeout = 5 * time.Second
)

// line is the connection of a route. Data waits in a queue until the bottleneck has carried it.
type line struct {
	up         bool
	since      time.Time
	queue      float64 // in bytes
	stalled    time.Duration
	sample     qos.Sample // of the current second
	rateFactor float64    // rate of the current second relative to the mean
}

// capacity returns the rate of TCP over a line, in bit/s: that of the bottleneck, or what loss allows
// (Mathis et al.).
func (c conditions) capacity() float64 {
	if c.loss == 0 || c.effective {
		return c.rate
	}
	return min(c.rate, segment*8*1.22/(c.rtt.Seconds()*math.Sqrt(c.loss)))
}

func (l *line) open(now time.Time) { *l = line{up: true, since: now, rateFactor: 1} }

// transmit simulates one step and returns the bytes that arrived. fed reports whether the stream uses this
// route.
func (l *line) transmit(c conditions, fed bool) float64 {
	if fed {
		l.queue += bitrate / 8 * step.Seconds()
	}
	arrived := min(l.queue, c.capacity()*l.rateFactor/8*step.Seconds())
	l.queue -= arrived
	waiting := l.queue > 0
	l.queue = min(l.queue, bitrate/8*maxBehind.Seconds()) // drop the oldest data
	if arrived == 0 && waiting {
		l.stalled += step
	} else {
		l.stalled = 0
	}
	s := &l.sample
	s.Limited = waiting && (s.Span == 0 || s.Limited)
	s.Stalled = l.stalled >= time.Second
	s.Span += step
	s.Delivered += uint64(arrived)
	s.Sent += uint64(arrived)
	s.Segments += uint64(arrived/segment) + 1
	return arrived
}

// takeSample returns the sample of the second that ends now.
func (l *line) takeSample(now time.Time, c conditions, chance *rand.Rand) qos.Sample {
	s := l.sample
	l.sample = qos.Sample{}
	l.rateFactor = 1 + c.noise*(2*chance.Float64()-1)
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

// dial returns the outcome of a dial or a probe, and how long it takes.
func (c conditions) dial(probe bool) (qos.Outcome, time.Duration) {
	trips := 7 // TCP, handshake, connect, publish, media
	if probe {
		trips = 4
	}
	switch {
	case c.down:
		return qos.DialFailed, c.rtt
	case c.rate == 0:
		return qos.DialTimeout, dialTimeout
	}
	return qos.DialOK, c.rtt * time.Duration(trips)
}
