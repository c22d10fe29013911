package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// shortestSegment is the least length of a segment, whatever is configured.
	shortestSegment = 500 * time.Millisecond
	// segmentEarly is how much before the configured length a keyframe begins the next segment:
	// encoders' keyframe intervals are rounded.
	segmentEarly = 100 * time.Millisecond
	// segmentRepeat is how old the newest mark is when a keyframe that is sent again for those
	// who join, while the stream is held, begins a segment.
	segmentRepeat = 8 * time.Second
)

// segments is where fMP4 segments begin. It belongs to the stream so that all that cut it, also
// on other nodes, cut it alike.
type segments struct {
	begun bool
	last  time.Duration // DTS of the newest mark
}

// markSegment marks p if a segment begins with it. s.mu is held.
func (s *Stream) markSegment(p *packetbuf.Packet) {
	if p.Kind != packetbuf.Key || p.Bridged() || p.Track == packetbuf.Audio && s.lastKey != nil {
		return
	}
	length := max(shortestSegment, s.cfg.Load().Segment-segmentEarly)
	if p.Flags&packetbuf.Again != 0 {
		length = max(length, segmentRepeat)
	}
	if s.segments.begun && p.DTS-s.segments.last < length {
		return
	}
	s.segments = segments{begun: true, last: p.DTS}
	p.Flags |= packetbuf.Segment
}
