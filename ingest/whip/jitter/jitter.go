// Package jitter reorders the packets of one RTP stream, decides which packets to request again,
// and gives up packets that do not arrive. The package is pure: time is an argument.
package jitter

import "time"

// Sizes of a buffer in packets, powers of two: for video more than a second at 15 Mb/s, for audio
// several seconds.
const (
	videoSize = 2048
	audioSize = 256
)

const (
	// maxReordering is how long a packet may be missing before it is requested.
	maxReordering = 8 * time.Millisecond
	// maxRequests is the maximum number of requests for one packet.
	maxRequests = 30
)

// Buffer is the jitter buffer of one stream. It is not safe for concurrent use.
type Buffer[T any] struct {
	// video is set for video. After a gap in video, packets are useless until one at which a
	// decoder can start.
	video bool

	slots           []slot[T] // the length is a power of two
	started         bool
	next            int64 // unwrapped sequence number of the next packet to return
	head            int64 // one more than the newest sequence number
	needsStart      bool  // only a packet at which a decoder can start may be returned
	gap             bool  // the next packet returned does not continue the last one
	needsStartSince time.Time
	strayNext       int64          // one more than the sequence number of the last packet that was far from the others
	before          previousPacket // about the packet before next

	// Late counts packets that arrived too late or more than once. Lost counts packets that never
	// arrived.
	Late, Lost uint64
}

type slot[T any] struct {
	received     bool
	packet       T
	timestamp    uint32
	start        Start
	missingSince time.Time // when it was first known to be missing
	requested    time.Time // when it was last requested
	requests     int
}

// Start says whether a decoder can start at a packet.
type Start uint8

const (
	// Never means that a decoder cannot start at the packet.
	Never Start = iota
	// IfWhole means that a decoder can start at the packet if all earlier packets of its access
	// unit have arrived. These may contain parameter sets; without them, the frame would be decoded
	// with those of another frame.
	IfWhole
	// Always means that a decoder can start at the packet, whatever else has arrived.
	Always
)

// previousPacket describes the packet before a position in the buffer.
type previousPacket struct {
	arrived      bool
	unitComplete bool // all earlier packets of its access unit have arrived too
	timestamp    uint32
}

// previousOfNext returns the previousPacket of the position after s. b is the previousPacket of s
// itself.
func (s *slot[T]) previousOfNext(b previousPacket) previousPacket {
	if !s.received {
		return previousPacket{}
	}
	return previousPacket{arrived: true, unitComplete: b.arrived && (b.unitComplete || b.timestamp != s.timestamp), timestamp: s.timestamp}
}

// canStart reports whether a decoder can start at the packet in s. b is the previousPacket of s.
func (s *slot[T]) canStart(b previousPacket) bool {
	return s.received && (s.start == Always || s.start == IfWhole && s.previousOfNext(b).unitComplete)
}

// NewVideo returns a buffer that, after a gap, drops packets until one at which a decoder can
// start.
func NewVideo[T any]() *Buffer[T] {
	return &Buffer[T]{video: true, needsStart: true, slots: make([]slot[T], videoSize)}
}

// NewAudio returns a buffer that skips packets that do not arrive.
func NewAudio[T any]() *Buffer[T] { return &Buffer[T]{slots: make([]slot[T], audioSize)} }

// Push adds packet p, which arrived at time now, with its sequence number and RTP timestamp.
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

// start starts the buffer at its first packet. It assumes that this is the first packet of its
// access unit, as it usually is.
func (b *Buffer[T]) start(now time.Time, seq uint16, timestamp uint32) {
	b.started, b.next, b.head, b.needsStartSince = true, int64(seq), int64(seq), now
	b.before = previousPacket{arrived: true, timestamp: timestamp - 1}
}

// unwrap returns the unwrapped sequence number for seq that is nearest to the newest one. If it is
// far from all others, unwrap restarts the buffer there, or returns an expired number so that the
// packet is dropped.
func (b *Buffer[T]) unwrap(now time.Time, seq uint16) int64 {
	newest := b.head - 1
	at := newest + int64(int16(seq-uint16(newest))) //nolint:gosec // the nearest, modulo 2^16
	if far := int64(len(b.slots)) / 2; at > newest+far || at < b.next-far {
		if at != b.strayNext { // one such packet is dropped; two in a row restart the buffer (RFC 3550, A.1)
			b.strayNext = at + 1
			return b.next - 1
		}
		b.restart(now, at)
	}
	return at
}

// restart discards all packets. The buffer continues with the unwrapped sequence number at.
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

// giveUpNext gives up waiting for the next packet or, if it has arrived, drops it. A gap in video
// is recorded.
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
// unfinished access unit must be discarded. ok is false if no packet can be returned at time now.
// patience is how long to wait for a missing packet. For video, Pop waits longer if no later packet
// has arrived at which a decoder can start.
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

// skipToStart moves to the next packet at which a decoder can start. It returns false if there is
// none.
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

// Nacks appends to dst the sequence numbers of the packets to request at time now. It repeats a
// request after the time in which an answer could have arrived, which depends on rtt.
func (b *Buffer[T]) Nacks(now time.Time, rtt time.Duration, dst []uint16) []uint16 {
	const most = 200 // more missing packets are an outage, not packet loss
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

// StarvedSince returns since when no packet can be returned because none has arrived at which a
// decoder can start. It returns the zero Time if that is not the case.
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
