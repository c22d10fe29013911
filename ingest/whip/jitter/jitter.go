// Package jitter reorders the packets of one RTP stream, decides which to request again, and gives up
// packets that do not arrive. The package is pure: time is an argument.
package jitter

import "time"

// The largest span of a buffer in packets, powers of two: for video more than a second
// of 15 Mb/s, for audio some seconds.
const (
	videoSize = 2048
	audioSize = 256
)

const (
	// maxReordering is how long a packet may be late before it is requested again.
	maxReordering = 8 * time.Millisecond
	// maxRequests is how often one packet is requested.
	maxRequests = 30
)

// Buffer is the jitter buffer of one stream. It is not safe for concurrent use.
type Buffer[T any] struct {
	// video is set for video: after a gap, packets are useless before one at which a decoder can start.
	video bool

	slots           []slot[T] // a power of two long
	started         bool
	next            int64 // unwrapped sequence number of the next packet to return
	head            int64 // one more than the newest sequence number
	needsStart      bool  // only a packet at which a decoder can start may be returned
	gap             bool  // the next packet returned does not continue the last one
	needsStartSince time.Time
	strayNext       int64          // one more than the sequence number of a packet far from the others
	before          previousPacket // what is known before next

	// Late counts packets that arrived too late or twice, and Lost packets that never arrived.
	Late, Lost uint64
}

type slot[T any] struct {
	received     bool
	packet       T
	timestamp    uint32
	start        Start
	missingSince time.Time // since when it is known to be missing
	requested    time.Time // when it was last requested
	requests     int
}

// Start says whether a decoder can start at a packet.
type Start uint8

const (
	// Never means that it cannot.
	Never Start = iota
	// IfWhole means that it can if all earlier packets of its access unit have arrived. They may
	// contain parameter sets, without which it would be decoded with those of another frame.
	IfWhole
	// Always means that it can, whatever else has arrived.
	Always
)

// previousPacket is what is known of the packet before a position.
type previousPacket struct {
	arrived      bool
	unitComplete bool // all earlier packets of its access unit have arrived too
	timestamp    uint32
}

// previousOfNext returns what is known before the position after s.
func (s *slot[T]) previousOfNext(b previousPacket) previousPacket {
	if !s.received {
		return previousPacket{}
	}
	return previousPacket{arrived: true, unitComplete: b.arrived && (b.unitComplete || b.timestamp != s.timestamp), timestamp: s.timestamp}
}

// canStart reports whether a decoder can start at the packet in s.
func (s *slot[T]) canStart(b previousPacket) bool {
	return s.received && (s.start == Always || s.start == IfWhole && s.previousOfNext(b).unitComplete)
}

// NewVideo returns a buffer that, after a gap, returns no packet before one at which a decoder can
// start.
func NewVideo[T any]() *Buffer[T] {
	return &Buffer[T]{video: true, needsStart: true, slots: make([]slot[T], videoSize)}
}

// NewAudio returns a buffer that skips packets that do not arrive.
func NewAudio[T any]() *Buffer[T] { return &Buffer[T]{slots: make([]slot[T], audioSize)} }

// Push adds a packet with its sequence number and timestamp.
func (b *Buffer[T]) Push(now time.Time, seq uint16, timestamp uint32, start Start, p T) {
	if !b.started {
		b.start(now, seq, timestamp)
	}
	at := b.unwrap(now, seq)
	if at < b.next {
		b.Late++
		return
	}
	for at-b.next >= int64(len(b.slots)) { // the span is too long to wait for missing packets
		b.giveUpNext()
	}
	for ; b.head <= at; b.head++ {
		*b.slot(b.head) = slot[T]{missingSince: now}
	}
	s := b.slot(at)
	if s.received {
		b.Late++
		return
	}
	s.received, s.packet, s.timestamp, s.start = true, p, timestamp, start
}

// start assumes that the first packet to arrive is the first of its access unit, as is usual.
func (b *Buffer[T]) start(now time.Time, seq uint16, timestamp uint32) {
	b.started, b.next, b.head, b.needsStartSince = true, int64(seq), int64(seq), now
	b.before = previousPacket{arrived: true, timestamp: timestamp - 1}
}

// unwrap returns the unwrapped sequence number nearest to the newest.
func (b *Buffer[T]) unwrap(now time.Time, seq uint16) int64 {
	newest := b.head - 1
	at := newest + int64(int16(seq-uint16(newest))) //nolint:gosec // the nearest, modulo 2^16
	if far := int64(len(b.slots)) / 2; at > newest+far || at < b.next-far {
		if at != b.strayNext { // one such packet is ignored, two in a row are a new start (RFC 3550, A.1)
			b.strayNext = at + 1
			return b.next - 1
		}
		b.restart(now, at)
	}
	return at
}

// restart restarts the buffer at a sequence number.
func (b *Buffer[T]) restart(now time.Time, at int64) {
	for s := b.next; s < b.head; s++ {
		*b.slot(s) = slot[T]{}
	}
	b.next, b.head, b.gap, b.before = at, at, true, previousPacket{}
	if b.video && !b.needsStart {
		b.needsStart, b.needsStartSince = true, now
	}
}

func (b *Buffer[T]) slot(seq int64) *slot[T] { return &b.slots[uint64(seq)%uint64(len(b.slots))] } //nolint:gosec // only its low bits count

// giveUpNext gives up the next packet, and for video those that are useless without it.
func (b *Buffer[T]) giveUpNext() {
	if b.next == b.head {
		b.next, b.head, b.before = b.next+1, b.head+1, previousPacket{}
		return
	}
	s := b.slot(b.next)
	if !s.received {
		b.Lost++
		b.gap = true
		if b.video && !b.needsStart {
			b.needsStart, b.needsStartSince = true, s.missingSince
		}
	}
	b.advance()
}

// advance moves past the next packet.
func (b *Buffer[T]) advance() {
	s := b.slot(b.next)
	b.before = s.previousOfNext(b.before)
	*s = slot[T]{}
	b.next++
}

// Pop returns the next packet in order. gap reports that packets before it are lost, so that an
// unfinished access unit must be discarded. patience is how long to wait for a missing packet; of video
// Pop waits longer if no packet has arrived at which a decoder can start.
func (b *Buffer[T]) Pop(now time.Time, patience time.Duration) (p T, gap, ok bool) {
	for b.next < b.head {
		s := b.slot(b.next)
		switch {
		case s.received && (!b.needsStart || s.canStart(b.before)):
			b.needsStart = false
			p, gap = s.packet, b.gap
			b.gap = false
			b.advance()
			return p, gap, true
		case s.received: // useless without an earlier packet
			b.gap = true
			b.advance()
		case now.Sub(s.missingSince) < patience:
			return p, false, false
		case b.needsStart || !b.video:
			b.giveUpNext()
		case b.skipToStart():
		default:
			return p, false, false
		}
	}
	return p, false, false
}

// skipToStart moves to the next packet at which a decoder can start, and reports whether there is one.
func (b *Buffer[T]) skipToStart() bool {
	before := b.before
	for to := b.next; to < b.head; to++ {
		s := b.slot(to)
		if !s.canStart(before) {
			before = s.previousOfNext(before)
			continue
		}
		for b.next < to {
			b.giveUpNext()
		}
		b.needsStart = false
		return true
	}
	return false
}

// Nacks appends the sequence numbers to request now to dst. A packet is requested again once an answer
// could have arrived.
func (b *Buffer[T]) Nacks(now time.Time, rtt time.Duration, dst []uint16) []uint16 {
	const most = 200 // more at a time are an outage, not loss
	retryAfter := max(rtt+rtt/4, 15*time.Millisecond)
	for seq := b.next; seq < b.head && len(dst) < most; seq++ {
		s := b.slot(seq)
		if s.received || s.requests >= maxRequests || now.Sub(s.missingSince) < maxReordering || s.requests > 0 && now.Sub(s.requested) < retryAfter {
			continue
		}
		s.requested = now
		s.requests++
		dst = append(dst, uint16(seq)) //nolint:gosec // modulo 2^16
	}
	return dst
}

// Waiting reports whether the buffer holds packets that cannot be returned yet.
func (b *Buffer[T]) Waiting() bool { return b.next < b.head }

// StarvedSince returns since when no packet can be returned for lack of one at which a decoder can start;
// zero if that is not the case.
func (b *Buffer[T]) StarvedSince() time.Time {
	switch {
	case !b.video || !b.started:
		return time.Time{}
	case b.needsStart:
		return b.needsStartSince
	case b.next < b.head && !b.slot(b.next).received:
		return b.slot(b.next).missingSince
	}
	return time.Time{}
}
