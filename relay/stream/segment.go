package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// shortestSegment is the least length of a segment, whatever is configured.
	shortestSegment = 500 * time.Millisecond
	// segmentEarly is how much earlier than the configured length a keyframe may start the next
	// segment, because encoders' keyframe intervals are rounded.
	segmentEarly = 100 * time.Millisecond
	// segmentRepeat is the age of the newest mark from which a repeated keyframe starts a segment.
	// Keyframes are repeated for viewers who join a held stream.
	segmentRepeat = 8 * time.Second
)

// segments decides where fMP4 segments start. The stream decides this, so that all egresses segment
// it alike, also on other nodes.
type segments struct {
	begun bool
	last  time.Duration // DTS of the newest mark
}

// mark marks p if it starts a segment of the configured length. If hasVideo is true, no segment
// starts at an audio packet.
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
