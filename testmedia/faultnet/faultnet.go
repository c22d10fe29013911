// Package faultnet provides connections with the faults of real networks: in memory, for tests in a
// testing/synctest bubble, and between real sockets, as a TCP proxy. Both use Wire and have the same
// faults. A UDP proxy has faults for datagrams.
//
// Random delays derive from a seed. In memory there are no goroutines, and time is the bubble's.
package faultnet

import (
	"time"
)

// Direction is a direction of a connection, or both.
type Direction uint8

// Directions as seen from the side that dials.
const (
	Up   Direction = 1 << iota // from the dialing side
	Down                       // to the dialing side
	Both = Up | Down
)

// Fault is a kind of fault of a connection.
type Fault uint8

const (
	// Reset ends both directions with ECONNRESET at both ends. Data that has arrived can still be read;
	// data in flight is lost.
	Reset Fault = iota
	// Close ends a direction as if its sender had closed it: the reader gets io.EOF after the data in
	// flight.
	Close
	// Hang stops all arrivals without an error. A sender writes until the buffers are full and then waits;
	// a close or reset of the sender does not arrive either. A connection with both directions hung is
	// half-open.
	Hang
	// Thaw ends a Hang. Data held back arrives then, as after a TCP retransmission.
	Thaw
)

// Shape describes how a direction carries bytes.
type Shape struct {
	// Delay is the transit time of a segment. A random time from 0 to Jitter is added to it. Segments are
	// never reordered.
	Delay, Jitter time.Duration
	Rate          int // bytes per second; 0: unlimited
	Segment       int // maximum size in bytes of data that arrives at once; default 1460
	// Buffer is how many bytes may be in flight or unread before a sender waits; default 256 KiB.
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

// Drip returns a Shape in which one byte arrives in each interval.
func Drip(interval time.Duration) Shape {
	return Shape{Segment: 1, Rate: max(1, int(time.Second/interval))}
}

// Rule is a fault that occurs at a given byte or time.
type Rule struct {
	Fault Fault
	Dir   Direction // affected direction; Reset always affects both
	// AtByte is the number of bytes sent in Dir, or in Up if Dir is Both, after which the fault occurs.
	// Those bytes still arrive, even before a Reset, and no byte after them does.
	AtByte int64
	// After is the time since the connection was made at which the fault occurs. It applies if AtByte is 0.
	After time.Duration
	// For is the duration of a Hang; 0: until a Thaw.
	For time.Duration
}

// countedDirection returns the direction whose bytes AtByte counts.
func (r Rule) countedDirection() Direction {
	if r.Dir == Down {
		return Down
	}
	return Up
}

// Options configures a connection.
type Options struct {
	Seed     uint64
	Up, Down Shape
	Rules    []Rule
}
