package stream

import (
	"math"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Players take their input in blocks. One that falls short of a block shows nothing new, and later
// than before from then on, or drops its decoder's state, after which the frames that filler is
// made of have no reference.
const (
	// paddedRate is the rate in bytes per second up to which filler is padded. Players built on
	// libavformat, such as VLC, read blocks of 32 KiB and buffer one second, some of which goes to
	// the distance between two frames: at this rate a block takes a third of a second.
	paddedRate = 96 << 10
	// paddedMore is how much more than the session's own that may be, because frames of filler lie
	// further apart.
	paddedMore = 1.5
	// paddedFirst bounds the rate at which padding begins: that of the session, because players
	// in browsers size their blocks by the rate of the seconds before.
	paddedFirst = 1 << 20
	// paddingHalves is how long the rate takes to fall by half.
	paddingHalves = 2 * time.Second
)

// padding keeps the rate of filler at what players read well.
type padding struct {
	least float64       // bytes per second that the rate falls to; 0: nothing is padded
	rate  float64       // bytes per second at last
	last  time.Duration // DTS up to which owed has grown
	owed  float64       // bytes that are missing at last
}

// newPadding returns padding for filler behind a session that had bytes of media in a span of
// time, and ended at last.
func newPadding(bytes int, span, last time.Duration) padding {
	if span < time.Second {
		return padding{least: paddedRate, rate: paddedRate, last: last}
	}
	own := float64(bytes) / span.Seconds()
	return padding{least: min(paddedMore*own, paddedRate), rate: min(paddedMore*own, paddedFirst), last: last}
}

// before returns how many units of padding come before a packet of filler.
func (p *padding) before(dts time.Duration, size int) uint8 {
	if step := dts - p.last; step > 0 {
		p.owed += p.rate * step.Seconds()
		p.rate = max(p.least, p.rate*math.Exp2(-step.Seconds()/paddingHalves.Seconds()))
		p.last = dts
	}
	// What a large frame had too much is not held against more than the second behind it, nor is
	// what a late one lacks sent all at once.
	p.owed = min(max(p.owed-float64(size), -p.rate), p.rate)
	units := min(int(p.owed/packetbuf.PaddingUnit), packetbuf.MaxPadding)
	if units <= 0 {
		return 0
	}
	p.owed -= float64(units * packetbuf.PaddingUnit)
	return uint8(units) //nolint:gosec // at most MaxPadding
}

// sessionRate returns how much media the ring has of the session that feeds the stream, and over
// which span of decode time.
func (s *Stream) sessionRate() (bytes int, span time.Duration) {
	var first, last time.Duration
	begun := false
	for p := range s.sessionMedia() {
		if !begun {
			begun, first, last = true, p.DTS, p.DTS
		}
		bytes += len(p.Payload)
		first, last = min(first, p.DTS), max(last, p.DTS)
	}
	return bytes, last - first
}
