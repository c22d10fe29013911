package hls

import (
	"math"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// fixTargets sets the target durations, once there is a complete segment. After that they never
// change. The target duration is longer than the segments so far, so that a late keyframe does not
// exceed it.
func (l *segmenter) fixTargets() {
	if l.target > 0 || len(l.complete) == 0 {
		return
	}
	most := l.set.Segment
	for _, s := range l.complete {
		most = max(most, s.duration)
	}
	l.target = int(math.Ceil((most - 250*time.Millisecond).Seconds())) + 1
	if l.parentTarget > 0 && most < time.Duration(l.parentTarget)*time.Second+roundingSlack {
		l.target = l.parentTarget
	}
	l.partTarget = l.fitPartTarget()
	l.regroupAll()
}

// fitPartTarget returns the part target duration that suits the durations of the chunks so far.
func (l *segmenter) fitPartTarget() time.Duration {
	var chunks []time.Duration
	frames, length := 0, time.Duration(0)
	for _, s := range l.complete {
		frames += s.frames
		length += s.duration
		for _, p := range s.parts {
			for _, c := range p.chunks {
				chunks = append(chunks, min(max(c.Duration, time.Millisecond), time.Second))
			}
		}
	}
	slices.Sort(chunks)
	usual, biggest := chunks[len(chunks)/2], chunks[len(chunks)-1]
	whole := max(1, (l.set.Part+4*time.Millisecond)/usual) * usual //nolint:durationcheck // a number of chunks
	target := max(whole, biggest).Truncate(time.Millisecond) + 3*time.Millisecond
	if i := l.init.chunk.Info; i.Audio == packetbuf.NoCodec {
		step := max(length/time.Duration(max(frames, 1)), time.Millisecond)
		target = evenPartTarget(target, frameSpacing{step, step + 2*time.Millisecond}, freezeSpacing(i.Video))
	}
	return target
}

// minPart returns the minimum duration of a part for a part target duration
// (draft-pantos-hls-rfc8216bis). The last part of a segment may be shorter.
func minPart(target time.Duration) time.Duration { return target * 85 / 100 }

// frameSpacing is the range of frame durations in a stream without audio. least is the duration of
// most frames, and most is that of the longest.
type frameSpacing struct{ least, most time.Duration }

// fits reports whether frames with these durations can always fill a part to between its minimum
// duration and target.
func (p frameSpacing) fits(target time.Duration) bool {
	n := (target-p.most)/p.least + 1
	return target >= p.most && n*p.least >= minPart(target) //nolint:durationcheck // a number of frames
}

// freezeSpacing returns the frame durations of a codec while a stream is held because its publisher
// is away. For H.264, a frame is synthesized five times a second. It is a little shorter when the
// frames before it are repeated, and longer just before the publisher returns. For other codecs,
// the newest keyframe is repeated once a second.
func freezeSpacing(c packetbuf.Codec) frameSpacing {
	if c == packetbuf.H264 {
		return frameSpacing{198 * time.Millisecond, 265 * time.Millisecond}
	}
	return frameSpacing{time.Second, 1070 * time.Millisecond}
}

// maxPartTarget is the maximum part target that evenPartTarget tries.
const maxPartTarget = 3 * time.Second

// evenPartTarget returns the shortest part target, but at least the duration least, for which
// frames fill parts evenly both while the stream is live and while it is held. If there is none, it
// returns a part target that is long enough for held frames.
func evenPartTarget(least time.Duration, live, held frameSpacing) time.Duration {
	for t := least; t <= maxPartTarget; t += time.Millisecond {
		if live.fits(t) && held.fits(t) {
			return t
		}
	}
	return max(least, held.most)
}

// regroupAll groups the chunks of all segments into parts again. No playlist has named the parts
// yet.
func (l *segmenter) regroupAll() {
	for _, s := range l.complete {
		s.parts = l.regroup(s.parts)
		for _, p := range s.parts {
			p.name = l.nextPart
			l.namePart()
		}
	}
	if l.open == nil {
		return
	}
	if l.openPart != nil {
		l.closePart()
	}
	parts := l.regroup(l.open.parts)
	l.open.parts = nil
	for i, p := range parts {
		if l.openPart = p; i < len(parts)-1 || p.duration >= l.fullPart() {
			l.closePart()
		}
	}
}

// regroup groups the chunks of parts into new parts. No playlist has named the parts yet.
func (l *segmenter) regroup(parts []*part) (out []*part) {
	for _, p := range parts {
		for _, c := range p.chunks {
			n := len(out) - 1
			if n >= 0 && out[n].duration+c.Duration > l.partTarget {
				if head, tail := l.splitToFill(out[n], c); head != nil {
					out[n].append(head)
					c = tail
				}
			}
			if n < 0 || out[n].duration >= l.fullPart() || out[n].duration+c.Duration > l.partTarget {
				out = append(out, &part{independent: c.Independent})
				n++
			}
			out[n].append(c)
		}
	}
	return out
}
