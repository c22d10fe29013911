package link

import (
	"math"
	"slices"
	"sort"
	"time"
)

// mark is a packet's place among the bytes of a push.
type mark struct {
	wire    uint64 // where it ends below TLS; pending while it is being written there
	said    uint64 // where it ends in the bytes that RTMP counts
	seq     uint64
	arrived time.Time // here
}

const pending = math.MaxUint64

// flight is the packets under way, oldest first. When there are too many, those of its older
// half become one out of two: it then says of two packets together what is true of the
// first until both have arrived. So a far side that never acknowledges costs as little.
type flight struct{ marks []mark }

// maxFlight is how many marks are kept: a dozen seconds of a stream one by one, more of
// what is older.
const maxFlight = 1024

func (f *flight) add(m mark) {
	if len(f.marks) == maxFlight {
		f.thin()
	}
	f.marks = append(f.marks, m)
}

func (f *flight) thin() {
	const half = maxFlight / 2
	for i := range half / 2 {
		first, second := f.marks[2*i], f.marks[2*i+1]
		first.wire, first.said = second.wire, second.said
		f.marks[i] = first
	}
	f.marks = slices.Delete(f.marks, half/2, half)
}

// written sets the place of the packets that were being written, as far as they end before
// said.
func (f *flight) written(wire, said uint64) {
	for i := len(f.marks) - 1; i >= 0 && f.marks[i].wire == pending; i-- {
		if f.marks[i].said <= said {
			f.marks[i].wire = wire
		}
	}
}

// forget gives up the packets that have arrived at both levels.
func (f *flight) forget(wire, said uint64) {
	n := min(f.firstBeyond(func(m *mark) bool { return m.wire > wire }), f.firstBeyond(func(m *mark) bool { return m.said > said }))
	f.marks = append(f.marks[:0], f.marks[n:]...)
}

// beyondWire is the oldest packet that ends behind a place below TLS.
func (f *flight) beyondWire(wire uint64) (mark, bool) {
	return f.at(f.firstBeyond(func(m *mark) bool { return m.wire > wire }))
}

// beyondSaid is the oldest packet that ends behind a place in the bytes that RTMP counts.
func (f *flight) beyondSaid(said uint64) (mark, bool) {
	return f.at(f.firstBeyond(func(m *mark) bool { return m.said > said }))
}

func (f *flight) firstBeyond(is func(*mark) bool) int {
	return sort.Search(len(f.marks), func(i int) bool { return is(&f.marks[i]) })
}

func (f *flight) at(i int) (mark, bool) {
	if i >= len(f.marks) {
		return mark{}, false
	}
	return f.marks[i], true
}
