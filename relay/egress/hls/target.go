package hls

import (
	"math"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// fix sets the target durations, once: longer than what there has been, so that a keyframe that
// comes late does not break them.
func (l *list) fix() {
	if l.target > 0 || len(l.done) == 0 {
		return
	}
	most := l.set.Segment
	for _, s := range l.done {
		most = max(most, s.duration)
	}
	l.target = int(math.Ceil((most - 250*time.Millisecond).Seconds())) + 1
	if l.like > 0 && most < time.Duration(l.like)*time.Second+rounds {
		l.target = l.like
	}
	l.partTarget = l.fitting()
	l.rename()
}

// fitting is the part target by what the chunks are like.
func (l *list) fitting() time.Duration {
	var chunks []time.Duration
	frames, length := 0, time.Duration(0)
	for _, s := range l.done {
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
		target = even(target, pictures{step, step + 2*time.Millisecond}, stills(i.Video))
	}
	return target
}

// enough is how long a part is at the least that is not the last of its segment, of a target
// duration (draft-pantos-hls-rfc8216bis).
func enough(target time.Duration) time.Duration { return target * 85 / 100 }

// pictures are how long pictures stand without sound to part them: most of them least, and one
// now and then up to most.
type pictures struct{ least, most time.Duration }

// fill tells whether a number of them is never longer than a part may be, and always enough.
func (p pictures) fill(target time.Duration) bool {
	n := (target-p.most)/p.least + 1
	return target >= p.most && n*p.least >= enough(target) //nolint:durationcheck // a number of pictures
}

// stills are how pictures stand while a stream is held. Of H.264 one is made five times a second;
// it stands a little less where the way to it comes once more, and longer before the publisher is
// back. Of others the newest keyframe comes again once a second.
func stills(c packetbuf.Codec) pictures {
	if c == packetbuf.H264 {
		return pictures{198 * time.Millisecond, 265 * time.Millisecond}
	}
	return pictures{time.Second, 1070 * time.Millisecond}
}

// coarsest is the longest part target that is tried for parts that are filled evenly.
const coarsest = 3 * time.Second

// even is the shortest part target from least on that pictures fill, live and held; where there is
// none, none that is too short for those that are held.
func even(least time.Duration, live, held pictures) time.Duration {
	for t := least; t <= coarsest; t += time.Millisecond {
		if live.fill(t) && held.fill(t) {
			return t
		}
	}
	return max(least, held.most)
}

// rename makes the parts anew, of which nobody was told yet.
func (l *list) rename() {
	for _, s := range l.done {
		s.parts = l.regroup(s.parts)
		for _, p := range s.parts {
			p.name = l.nextPart
			l.namePart()
		}
	}
	if l.open == nil {
		return
	}
	if l.parts != nil {
		l.closePart()
	}
	parts := l.regroup(l.open.parts)
	l.open.parts = nil
	for i, p := range parts {
		if l.parts = p; i < len(parts)-1 || p.duration >= l.fills() {
			l.closePart()
		}
	}
}

// regroup makes parts anew, of which nobody was told yet.
func (l *list) regroup(parts []*part) (out []*part) {
	for _, p := range parts {
		for _, c := range p.chunks {
			n := len(out) - 1
			if n >= 0 && out[n].duration+c.Duration > l.partTarget {
				if head, tail := l.complete(out[n], c); head != nil {
					out[n].put(head)
					c = tail
				}
			}
			if n < 0 || out[n].duration >= l.fills() || out[n].duration+c.Duration > l.partTarget {
				out = append(out, &part{independent: c.Independent})
				n++
			}
			out[n].put(c)
		}
	}
	return out
}
