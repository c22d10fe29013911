package link

import (
	"math"
	"slices"
	"sort"
	"time"
)

// mark is a packet's position in the byte stream of a push.
type mark struct {
	tcpEnd  uint64 // end of the packet in bytes below TLS; unknownEnd while TLS writes it
	rtmpEnd uint64 // end of the packet in bytes as RTMP counts them
	seq     uint64
	arrived time.Time // at this relay
}

const unknownEnd = math.MaxUint64

// flight is the list of packets that have not been acknowledged, oldest first. When it is full,
// pairs in its older half are merged. A merged entry keeps the first packet's time and number, and
// lasts until both packets have been acknowledged. So a peer that never acknowledges costs no more
// memory than others.
type flight struct{ marks []mark }

// maxFlight bounds the list. Entries for single packets cover about the newest 12 seconds of a
// stream.
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
		first.tcpEnd, first.rtmpEnd = second.tcpEnd, second.rtmpEnd
		f.marks[i] = first
	}
	f.marks = slices.Delete(f.marks, half/2, half)
}

// written sets the end below TLS of the packets up to rtmpEnd, which have now been written.
func (f *flight) written(tcpEnd, rtmpEnd uint64) {
	for i := len(f.marks) - 1; i >= 0 && f.marks[i].tcpEnd == unknownEnd; i-- {
		if f.marks[i].rtmpEnd <= rtmpEnd {
			f.marks[i].tcpEnd = tcpEnd
		}
	}
}

// forget removes the packets that have been acknowledged by both TCP and RTMP.
func (f *flight) forget(tcp, rtmp uint64) {
	n := min(f.firstBeyond(func(m *mark) bool { return m.tcpEnd > tcp }), f.firstBeyond(func(m *mark) bool { return m.rtmpEnd > rtmp }))
	f.marks = append(f.marks[:0], f.marks[n:]...)
}

// firstBeyondTCP returns the oldest packet that ends after the first acked bytes below TLS.
func (f *flight) firstBeyondTCP(acked uint64) (mark, bool) {
	return f.at(f.firstBeyond(func(m *mark) bool { return m.tcpEnd > acked }))
}

// firstBeyondRTMP returns the oldest packet that ends after the first acked bytes as RTMP counts
// them.
func (f *flight) firstBeyondRTMP(acked uint64) (mark, bool) {
	return f.at(f.firstBeyond(func(m *mark) bool { return m.rtmpEnd > acked }))
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
