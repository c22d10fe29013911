package filler

import (
	"iter"
	"math"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Players read their input in blocks. While a block is incomplete, a player shows nothing new and
// falls behind for good, or it drops its decoder's state; the frames of filler then have no
// reference.
const (
	// paddedRate is the rate in bytes per second up to which filler is padded. Players built on
	// libavformat, such as VLC, read blocks of 32 KiB and buffer one second, some of which goes to
	// the distance between two frames: at this rate a block takes a third of a second.
	paddedRate = 96 << 10
	// paddedMore bounds the rate as a multiple of the session's own. It is more than one because
	// frames of filler lie further apart than the session's.
	paddedMore = 1.5
	// paddedFirst bounds the rate in bytes per second at which padding begins. That is near the
	// session's, because players in browsers size their blocks by the rate of the seconds before, and
	// bounded, because a burst of padding delays what follows it.
	paddedFirst = 128 << 10
	// paddingHalves is the time in which the rate falls by half.
	paddingHalves = 2 * time.Second
)

// padding determines how much padding keeps filler at a rate that players cope with. The zero value
// adds none.
type padding struct {
	least float64       // bytes per second that rate falls to
	rate  float64       // bytes per second at the time last
	last  time.Duration // when the newest packet was made, since the stream is held
	owed  float64       // bytes that filler falls short of rate
}

// newPadding returns padding for filler that follows a session with a number of bytes of media in
// a span of time.
func newPadding(bytes int, span time.Duration) padding {
	if span < time.Second {
		return padding{least: paddedRate, rate: paddedRate}
	}
	own := float64(bytes) / span.Seconds()
	return padding{least: min(paddedMore*own, paddedRate), rate: min(paddedMore*own, paddedFirst)}
}

// before returns the number of units of padding to send before a packet of filler of size bytes
// that is made at a time since the stream is held. It goes by the wall clock: filler that is due
// at once, as after a silence, brings no burst of padding, which would delay what follows.
func (p *padding) before(held time.Duration, size int) uint8 {
	if step := held - p.last; step > 0 {
		p.owed += p.rate * step.Seconds()
		p.rate = max(p.least, p.rate*math.Exp2(-step.Seconds()/paddingHalves.Seconds()))
		p.last = held
	}
	// The bounds keep a large frame from stopping the padding for longer than a second, and a late
	// packet from being preceded by more than a second's worth.
	p.owed = min(max(p.owed-float64(size), -p.rate), p.rate)
	units := min(int(p.owed/packetbuf.PaddingUnit), packetbuf.MaxPadding)
	if units <= 0 {
		return 0
	}
	p.owed -= float64(units * packetbuf.PaddingUnit)
	return uint8(units) //nolint:gosec // at most MaxPadding
}

// sessionRate returns the number of bytes of media, and the span of decode time that they cover.
func sessionRate(media iter.Seq[*packetbuf.Packet]) (bytes int, span time.Duration) {
	var first, last time.Duration
	begun := false
	for p := range media {
		if !begun {
			begun, first, last = true, p.DTS, p.DTS
		}
		bytes += len(p.Payload)
		first, last = min(first, p.DTS), max(last, p.DTS)
	}
	return bytes, last - first
}
