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
	// libavformat, such as VLC, read blocks of 32 KiB and buffer one second, part of which is lost to
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

// padding determines how much padding keeps filler at the bitrate that players need. The zero value
// adds none.
type padding struct {
	least float64       // lower bound of rate, in bytes per second
	rate  float64       // bytes per second at the time last
	last  time.Duration // when the newest packet was made, as time since the hold began
	owed  float64       // bytes by which filler is below rate
}

// newPadding returns the padding for filler after a session that sent the given number of media
// bytes in the given time span.
func newPadding(bytes int, span time.Duration) padding {
	if span < time.Second {
		return padding{least: paddedRate, rate: paddedRate}
	}
	own := float64(bytes) / span.Seconds()
	return padding{least: min(paddedMore*own, paddedRate), rate: min(paddedMore*own, paddedFirst)}
}

// before returns the number of padding units to send before a filler packet of size bytes. held is
// the duration of the hold so far. It counts wall-clock time: filler that is due at once, as after a
// silence, causes no burst of padding, which would delay the packets after it.
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

// sessionRate returns the number of media bytes and the time span that their DTS covers.
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
