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
	stray  int64 // where one packet came that has nothing to do with the others, less one

	// Late and Lost count packets that came too late or twice, and that never came.
	Late, Lost uint64
}

type slot[T any] struct {
	have, start bool
	packet      T
	missed      time.Time // since when it is known to be missing
	asked       time.Time // when it was last asked for
	tries       int
}

// NewVideo returns a buffer that hands out nothing after a gap before a packet with which a
// decoder can start.
func NewVideo[T any]() *Buffer[T] {
	return &Buffer[T]{whole: true, starve: true, slots: make([]slot[T], videoSize)}
}

// NewAudio returns a buffer that steps over what does not come.
func NewAudio[T any]() *Buffer[T] { return &Buffer[T]{slots: make([]slot[T], audioSize)} }

// Push takes a packet with its sequence number; start says that a decoder can start with it.
func (b *Buffer[T]) Push(now time.Time, seq uint16, start bool, p T) {
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
	s.have, s.start, s.packet = true, start, p
}

// place is where a sequence number stands, near the newest.
func (b *Buffer[T]) place(now time.Time, seq uint16) int64 {
	if !b.begun {
		b.begun, b.next, b.head, b.hungry = true, int64(seq), int64(seq), now
		return b.next
	}
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
	b.next, b.head, b.gap = at, at, true
	if b.whole && !b.starve {
		b.starve, b.hungry = true, now
	}
}

func (b *Buffer[T]) slot(seq int64) *slot[T] { return &b.slots[uint64(seq)%uint64(len(b.slots))] } //nolint:gosec // only its low bits count

// giveUp gives the next packet up, and with it what is of no use without it.
func (b *Buffer[T]) giveUp() {
	if b.next == b.head {
		b.next, b.head = b.next+1, b.head+1
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
		case s.have && (!b.starve || s.start):
			b.starve = false
			p, gap = s.packet, b.gap
			*s, b.gap = slot[T]{}, false
			b.next++
			return p, gap, true
		case s.have: // of no use
			b.gap = true
			*s = slot[T]{}
			b.next++
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
	to := int64(-1)
	for s := b.next; s < b.head; s++ {
		if sl := b.slot(s); sl.have && sl.start {
			to = s
			break
		}
	}
	if to < 0 {
		return false
	}
	for b.next < to {
		b.giveUp()
	}
	b.starve = false
	return true
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
