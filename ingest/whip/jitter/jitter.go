// Package jitter puts the packets of one RTP stream back in order, says which are to be sent
// again, and gives up what does not come. It is pure: the time is an argument.
package jitter

import "time"

// How many packets a buffer spans at most, both powers of two: of pictures more than a second
// of 15 Mb/s, of sound some seconds.
const (
	videoSize = 2048
	audioSize = 256
)

const (
	// tolerance is how long a packet may be late before it is asked for again.
	tolerance = 8 * time.Millisecond
	// tries is how often one packet is asked for.
	tries = 30
)

// Buffer is the buffer of one stream. One goroutine uses it at a time.
type Buffer[T any] struct {
	// whole: what follows a gap is of no use before a packet at which a decoder can start.
	whole bool

	slots  []slot[T] // a power of two long
	begun  bool
	next   int64 // sequence of the packet to hand out next, without wrapping
	head   int64 // one behind the newest
	starve bool  // nothing before a starting packet may be handed out
	gap    bool  // what is handed out next does not continue what was before
	hungry time.Time
	stray  int64  // where one packet came that has nothing to do with the others, less one
	before before // next

	// Late and Lost count packets that came too late or twice, and that never came.
	Late, Lost uint64
}

type slot[T any] struct {
	have      bool
	packet    T
	timestamp uint32
	start     Start
	missed    time.Time // since when it is known to be missing
	asked     time.Time // when it was last asked for
	tries     int
}

// Start is whether a decoder can start with a packet.
type Start uint8

const (
	// Never says that it cannot.
	Never Start = iota
	// IfWhole says that it can if what its access unit had before it has come: parameter sets,
	// it may be, without which it would be decoded by those of another picture.
	IfWhole
	// Always says that it can whatever has come.
	Always
)

// before is what is known of the packet before a place.
type before struct {
	came      bool
	whole     bool // and so did all of its access unit before it
	timestamp uint32
}

// then is what is known before the next place, of which s is the slot.
func (s *slot[T]) then(b before) before {
	if !s.have {
		return before{}
	}
	return before{came: true, whole: b.came && (b.whole || b.timestamp != s.timestamp), timestamp: s.timestamp}
}

// starts tells whether a decoder can start with what came.
func (s *slot[T]) starts(b before) bool {
	return s.have && (s.start == Always || s.start == IfWhole && s.then(b).whole)
}

// NewVideo returns a buffer that hands out nothing after a gap before a packet with which a
// decoder can start.
func NewVideo[T any]() *Buffer[T] {
	return &Buffer[T]{whole: true, starve: true, slots: make([]slot[T], videoSize)}
}

// NewAudio returns a buffer that steps over what does not come.
func NewAudio[T any]() *Buffer[T] { return &Buffer[T]{slots: make([]slot[T], audioSize)} }

// Push takes a packet with its sequence number and timestamp.
func (b *Buffer[T]) Push(now time.Time, seq uint16, timestamp uint32, start Start, p T) {
	if !b.begun {
		b.begin(now, seq, timestamp)
	}
	at := b.place(now, seq)
	if at < b.next {
		b.Late++
		return
	}
	for at-b.next >= int64(len(b.slots)) { // too long for what is missing
		b.giveUp()
	}
	for ; b.head <= at; b.head++ {
		*b.slot(b.head) = slot[T]{missed: now}
	}
	s := b.slot(at)
	if s.have {
		b.Late++
		return
	}
	s.have, s.packet, s.timestamp, s.start = true, p, timestamp, start
}

// begin has the first packet that comes be the first of its access unit, as it most often is.
func (b *Buffer[T]) begin(now time.Time, seq uint16, timestamp uint32) {
	b.begun, b.next, b.head, b.hungry = true, int64(seq), int64(seq), now
	b.before = before{came: true, timestamp: timestamp - 1}
}

// place is where a sequence number stands, near the newest.
func (b *Buffer[T]) place(now time.Time, seq uint16) int64 {
	newest := b.head - 1
	at := newest + int64(int16(seq-uint16(newest))) //nolint:gosec // the nearest, modulo 2^16
	if far := int64(len(b.slots)) / 2; at > newest+far || at < b.next-far {
		if at != b.stray { // one alone is lost, two in a row are another beginning (RFC 3550, A.1)
			b.stray = at + 1
			return b.next - 1
		}
		b.reset(now, at)
	}
	return at
}

// reset begins anew at a sequence number.
func (b *Buffer[T]) reset(now time.Time, at int64) {
	for s := b.next; s < b.head; s++ {
		*b.slot(s) = slot[T]{}
	}
	b.next, b.head, b.gap, b.before = at, at, true, before{}
	if b.whole && !b.starve {
		b.starve, b.hungry = true, now
	}
}

func (b *Buffer[T]) slot(seq int64) *slot[T] { return &b.slots[uint64(seq)%uint64(len(b.slots))] } //nolint:gosec // only its low bits count

// giveUp gives the next packet up, and with it what is of no use without it.
func (b *Buffer[T]) giveUp() {
	if b.next == b.head {
		b.next, b.head, b.before = b.next+1, b.head+1, before{}
		return
	}
	s := b.slot(b.next)
	if !s.have {
		b.Lost++
		b.gap = true
		if b.whole && !b.starve {
			b.starve, b.hungry = true, s.missed
		}
	}
	b.advance()
}

// advance steps over the next packet.
func (b *Buffer[T]) advance() {
	s := b.slot(b.next)
	b.before = s.then(b.before)
	*s = slot[T]{}
	b.next++
}

// Pop returns the next packet in order. With gap packets before it are missing for good: what
// was begun with them is to be thrown away. patience is how long a missing packet is waited
// for; of a picture it is waited for longer, as long as nothing better has come.
func (b *Buffer[T]) Pop(now time.Time, patience time.Duration) (p T, gap, ok bool) {
	for b.next < b.head {
		s := b.slot(b.next)
		switch {
		case s.have && (!b.starve || s.starts(b.before)):
			b.starve = false
			p, gap = s.packet, b.gap
			b.gap = false
			b.advance()
			return p, gap, true
		case s.have: // of no use
			b.gap = true
			b.advance()
		case now.Sub(s.missed) < patience:
			return p, false, false
		case b.starve || !b.whole:
			b.giveUp()
		case b.skip():
		default:
			return p, false, false
		}
	}
	return p, false, false
}

// skip goes on at the next packet with which a decoder can start, if there is one.
func (b *Buffer[T]) skip() bool {
	before := b.before
	for to := b.next; to < b.head; to++ {
		s := b.slot(to)
		if !s.starts(before) {
			before = s.then(before)
			continue
		}
		for b.next < to {
			b.giveUp()
		}
		b.starve = false
		return true
	}
	return false
}

// Nacks appends the sequence numbers that are to be asked for now. One is asked for again when
// an answer could have come.
func (b *Buffer[T]) Nacks(now time.Time, rtt time.Duration, dst []uint16) []uint16 {
	const most = 200 // more at a time are no loss but an outage
	again := max(rtt+rtt/4, 15*time.Millisecond)
	for seq := b.next; seq < b.head && len(dst) < most; seq++ {
		s := b.slot(seq)
		if s.have || s.tries >= tries || now.Sub(s.missed) < tolerance || s.tries > 0 && now.Sub(s.asked) < again {
			continue
		}
		s.asked = now
		s.tries++
		dst = append(dst, uint16(seq)) //nolint:gosec // modulo 2^16
	}
	return dst
}

// Waiting tells whether packets have come that cannot be handed out yet.
func (b *Buffer[T]) Waiting() bool { return b.next < b.head }

// Starves tells since when nothing can be handed out for want of a packet with which a decoder
// can start; zero while it is not so.
func (b *Buffer[T]) Starves() time.Time {
	switch {
	case !b.whole || !b.begun:
		return time.Time{}
	case b.starve:
		return b.hungry
	case b.next < b.head && !b.slot(b.next).have:
		return b.slot(b.next).missed
	}
	return time.Time{}
}
