package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// paddedRate is the rate in bytes per second up to which filler is padded. Players built on
// libavformat (VLC) read their input in blocks of 32 KiB and drop their decoder's state when a
// block takes longer than the second that they buffer; the frames that filler is made of then
// have no reference. At this rate a block takes 0.64 s.
const paddedRate = 50 << 10

// padding keeps the rate of filler near the session's own, as far as paddedRate.
type padding struct {
	rate float64       // bytes per second; 0: nothing is padded
	last time.Duration // DTS up to which owed has grown
	owed float64       // bytes that are missing at last
}

// newPadding returns padding for filler behind a session that had bytes of media in a span of
// time, and ended at last.
func newPadding(bytes int, span, last time.Duration) padding {
	rate := float64(paddedRate)
	if span >= time.Second {
		rate = min(rate, float64(bytes)/span.Seconds())
	}
	return padding{rate: rate, last: last}
}

// behind returns how many units of padding follow a packet of filler.
func (p *padding) behind(dts time.Duration, size int) uint8 {
	if dts > p.last {
		p.owed += p.rate * (dts - p.last).Seconds()
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
