package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// shortestSegment is the least length of a segment, whatever is configured.
	shortestSegment = 500 * time.Millisecond
	// segmentEarly is how much before the configured length a keyframe starts the next segment:
	// encoders' keyframe intervals are rounded.
	segmentEarly = 100 * time.Millisecond
	// segmentRepeat is the age of the newest mark from which a keyframe that is repeated for viewers
	// who join a held stream starts a segment.
	segmentRepeat = 8 * time.Second
)

// segments is where fMP4 segments start. The stream decides it so that all egresses that cut the
// stream, also on other nodes, cut it alike.
type segments struct {
	begun bool
	last  time.Duration // DTS of the newest mark
}

// mark marks p if a segment of the configured length starts with it. hasVideo tells that the stream
// has video, so that audio starts none.
func (s *segments) mark(p *packetbuf.Packet, hasVideo bool, configured time.Duration) {
	if p.Kind != packetbuf.Key || p.Bridged() || p.Track == packetbuf.Audio && hasVideo {
		return
	}
	length := max(shortestSegment, configured-segmentEarly)
	if p.Flags&packetbuf.Repeat != 0 {
		length = max(length, segmentRepeat)
	}
	if s.begun && p.DTS-s.last < length {
		return
	}
	*s = segments{begun: true, last: p.DTS}
	p.Flags |= packetbuf.Segment
}
