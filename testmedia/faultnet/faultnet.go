// Package faultnet breaks connections the way networks do: in memory, for tests within a
// testing/synctest bubble, and between real sockets, as a TCP proxy. Both kinds run over the
// same Wire and know the same faults. Datagrams have a proxy with faults of their own.
//
// Random delays come from a seed. In memory there is no goroutine; time is the bubble's.
package faultnet

import (
	"time"
)

// Direction is one way of a connection, or both.
type Direction uint8

// Directions, as seen from the side that dialled.
const (
	Up   Direction = 1 << iota // from the dialler
	Down                       // to the dialler
	Both = Up | Down
)

// Fault is something that happens to a connection.
type Fault uint8

const (
	// Reset ends both directions with ECONNRESET at both ends. What has arrived can still
	// be read, what is under way is lost.
	Reset Fault = iota
	// Close ends a direction as if its sender had closed it: its reader sees io.EOF after
	// what is under way.
	Close
	// Hang lets nothing arrive any more and nothing fail: a sender writes until the buffers
	// are full and then waits; ends that close or reset are not noticed either. With both
	// directions hung the connection is half-open.
	Hang
	// Thaw ends a Hang. What was held arrives then, as after TCP's retransmission.
	Thaw
)

// Shape is how a direction carries bytes.
type Shape struct {
	// Delay is the way of a segment; Jitter is added to it, evenly spread from 0. Segments
	// never overtake each other.
	Delay, Jitter time.Duration
	Rate          int // bytes per second; 0 is without limit
	Segment       int // largest piece that arrives at once, in bytes: 1,460
	// Buffer is how many bytes may be under way and unread before a sender waits: 256 KiB.
	Buffer int
}

func (s Shape) withDefaults() Shape {
	if s.Segment <= 0 {
		s.Segment = 1460
	}
	if s.Buffer <= 0 {
		s.Buffer = 256 << 10
	}
	return s
}

// Drip is a Shape that lets one byte arrive in each interval.
func Drip(interval time.Duration) Shape {
	return Shape{Segment: 1, Rate: max(1, int(time.Second/interval))}
}

// Rule is a fault that comes by itself.
type Rule struct {
	Fault Fault
	Dir   Direction // which the fault hits; Reset hits both always
	// AtByte sets the moment: when so many bytes of Dir have been sent, of Up where Dir is
	// Both. Those bytes still arrive, also before a Reset, and no byte after them.
	AtByte int64
	// After sets the moment instead if AtByte is 0: the time since the connection was made.
	After time.Duration
	// For is how long a Hang lasts; 0 is until a Thaw.
	For time.Duration
}

// counted is the direction whose bytes AtByte counts.
func (r Rule) counted() Direction {
	if r.Dir == Down {
		return Down
	}
	return Up
}

// Options are a connection's.
type Options struct {
	Seed     uint64
	Up, Down Shape
	Rules    []Rule
}
