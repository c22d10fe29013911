package hls

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
)

const (
	// minSegment is the minimum duration of a segment. Media sequence numbers count time in units
	// of it; see epoch.
	minSegment = 500 * time.Millisecond
	// standInEarly is how much shorter than the configured duration a segment may be if it ends
	// before a repeated keyframe; see cmaf.Chunk.StandIn.
	standInEarly = 100 * time.Millisecond
	// maxSegment is the maximum duration of a segment before the target duration is known.
	maxSegment = 12 * time.Second
	// roundingSlack is the maximum time by which a segment may exceed the target duration. HLS
	// compares the target with the rounded duration.
	roundingSlack = 450 * time.Millisecond
)

// part is a group of complete chunks.
type part struct {
	name        string // not derived from the segment, because it is announced before its segment is known
	chunks      []*cmaf.Chunk
	duration    time.Duration
	independent bool
}

// initSection is an init section that segments refer to.
type initSection struct {
	id    string
	chunk *cmaf.Chunk
}

// segment is immutable when it is part of a view. A view has a copy of the open segment.
type segment struct {
	seq             uint64
	id              string // unguessable part of the name
	start           time.Duration
	wall            time.Time
	duration        time.Duration
	parts           []*part
	init            *initSection
	discontinuity   bool   // the playlist has EXT-X-DISCONTINUITY before it
	discontinuities uint64 // discontinuity sequence of the segment
	independent     bool
	bytes, frames   int
}

// segmenter groups chunks into parts and segments. It has no clock and no lock.
type segmenter struct {
	set         Settings
	newID       func() string // returns a new ID
	memoryShare func() int64  // bytes that the memory budget allows; nil means unlimited

	complete        []*segment // oldest first, with consecutive sequence numbers
	window          int        // number of the newest complete segments that are in the playlist
	open            *segment   // incomplete segment; nil if none
	openPart        *part      // incomplete part of open; nil if none
	init            *initSection
	nextSeq         uint64 // sequence number of the next segment
	discontinuities uint64 // current discontinuity sequence
	nextID          string
	nextPart        string // name of the part that is completed next
	partCount       int    // number of parts named so far
	discontinuity   bool   // the next segment begins with a discontinuity
	ended           bool
	empty           bool   // no segment has begun
	firstSeq        uint64 // sequence number of the first segment

	parentTarget int           // target duration of the stream of which this is a rendition, as variants must have the same; 0 if none
	target       int           // seconds; 0 until fixed
	partTarget   time.Duration // 0 until fixed
}

// newSegmenter returns a segmenter whose media sequence begins at seq or later, and whose
// discontinuity sequence begins at breaks.
func newSegmenter(s Settings, seq, breaks uint64, id func() string) *segmenter {
	l := &segmenter{set: s, newID: id, nextSeq: seq, discontinuities: breaks, nextID: id(), empty: true}
	l.namePart()
	return l
}

// epoch is the origin of media sequence numbers, which count minimum segment durations since then.
// They fit in 31 bits until 2058. A playlist that begins later has higher numbers than all earlier
// ones.
var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// sequenceAt returns the media sequence number for a time of day.
func sequenceAt(at time.Time) uint64 { return steps(at.Sub(epoch), minSegment) }

// steps returns how many steps fit in d, or 0 if d is negative.
func steps(d, step time.Duration) uint64 { return uint64(max(0, d/step)) } //nolint:gosec // not negative

// add adds the next chunk. lost reports that chunks before it are missing. add returns true if
// there is a new part or segment to publish.
func (l *segmenter) add(c *cmaf.Chunk, lost bool) bool {
	if c.Init {
		l.closeSegment()
		l.init = &initSection{id: l.newID(), chunk: c}
		return false
	}
	if l.empty {
		l.empty = false
		l.nextSeq = max(l.nextSeq, sequenceAt(c.Wall))
		l.firstSeq = l.nextSeq
	}
	switch {
	case lost || c.Discontinuity:
		l.closeSegment()
		l.discontinuity = true
	case l.open != nil && l.endsBefore(c):
		l.closeSegment()
	}
	fresh := false
	if l.open == nil {
		l.openSegment(c)
		fresh = len(l.complete) > 0
	}
	if l.openPart != nil && l.partTarget > 0 && l.openPart.duration+c.Duration > l.partTarget {
		head, tail := l.splitToFill(l.openPart, c)
		if head != nil {
			l.appendChunk(head)
			c = tail
		}
		l.closePart()
		fresh = true
	}
	l.appendChunk(c)
	if l.openPart.duration >= l.fullPart() {
		l.closePart()
		fresh = true
	}
	return fresh
}

// appendChunk adds a chunk to the incomplete part.
func (l *segmenter) appendChunk(c *cmaf.Chunk) {
	if l.openPart == nil {
		l.openPart = &part{independent: c.Independent}
	}
	l.openPart.append(c)
	s := l.open
	s.duration += c.Duration
	s.bytes += len(c.Data)
	s.frames += c.VideoFrames
}

func (p *part) append(c *cmaf.Chunk) {
	p.chunks = append(p.chunks, c)
	p.duration += c.Duration
}

// splitToFill splits chunk c if part p is too short without it and would be too long with it. The
// head completes the part. splitToFill returns nil if c cannot be split that way.
func (l *segmenter) splitToFill(p *part, c *cmaf.Chunk) (head, tail *cmaf.Chunk) {
	if p.duration >= l.fullPart() {
		return nil, nil
	}
	return c.Split(l.fullPart()-p.duration, l.partTarget-p.duration)
}

// fullPart returns the minimum duration of a part that is closed without waiting for the next
// chunk.
func (l *segmenter) fullPart() time.Duration {
	if l.partTarget > 0 {
		return minPart(l.partTarget)
	}
	return l.set.Part
}

// endsBefore reports whether the open segment must end before chunk c.
func (l *segmenter) endsBefore(c *cmaf.Chunk) bool {
	d := l.open.duration
	if c.Segment || c.StandIn && d >= max(minSegment, l.set.Segment-standInEarly) {
		return true
	}
	most := max(maxSegment, 3*l.set.Segment)
	if l.target > 0 {
		most = time.Duration(l.target)*time.Second + roundingSlack
	}
	bytes, kept := l.byteLimits()
	return d+c.Duration > most || l.open.bytes > 0 && l.open.bytes+len(c.Data) > bytes/kept
}

// byteLimits returns the maximum number of bytes of all segments, and the number of newest segments
// that are kept even if they exceed it.
func (l *segmenter) byteLimits() (bytes, kept int) {
	bytes = math.MaxInt
	if l.set.Bytes > 0 {
		bytes = l.set.Bytes
	}
	if l.memoryShare != nil {
		if share := l.memoryShare(); share < int64(bytes) {
			return int(share), 1
		}
	}
	return bytes, 3
}

// bytesBefore returns the number of bytes in chunks with sequence numbers below seq.
func (l *segmenter) bytesBefore(seq uint64) (bytes int) {
	add := func(p *part) {
		for _, c := range p.chunks {
			if c.Seq < seq {
				bytes += len(c.Data)
			}
		}
	}
	for _, s := range l.complete {
		for _, p := range s.parts {
			add(p)
		}
	}
	if l.open != nil {
		for _, p := range l.open.parts {
			add(p)
		}
	}
	if l.openPart != nil {
		add(l.openPart)
	}
	return bytes
}

func (l *segmenter) openSegment(c *cmaf.Chunk) {
	if l.discontinuity && len(l.complete) > 0 {
		l.discontinuities++
	} else {
		l.discontinuity = false // the first segment
	}
	l.open = &segment{
		seq: l.nextSeq, id: l.nextID, start: c.Start, wall: c.Wall, init: l.init, discontinuity: l.discontinuity, discontinuities: l.discontinuities, independent: c.Independent,
	}
	l.discontinuity = false
	l.nextSeq++
	l.nextID = l.newID()
}

// namePart chooses the name of the next part.
func (l *segmenter) namePart() {
	l.nextPart = "p" + strconv.Itoa(l.partCount) + "-" + l.newID()
	l.partCount++
}

func (l *segmenter) closePart() {
	l.openPart.name = l.nextPart
	l.namePart()
	l.open.parts = append(l.open.parts, l.openPart)
	l.openPart = nil
}

// closeSegment closes the open segment.
func (l *segmenter) closeSegment() {
	if l.open == nil {
		return
	}
	if l.openPart != nil {
		l.closePart()
	}
	l.complete = append(l.complete, l.open)
	l.open = nil
	l.window = min(l.window+1, l.set.Window)
	l.trim()
}

// trim removes old segments. After leaving the playlist, a segment is kept for the length of
// another playlist if the byte limit allows that. If the segments in the playlist exceed the limit,
// the oldest of them are removed.
func (l *segmenter) trim() {
	bytes := 0
	for _, s := range l.complete {
		bytes += s.bytes
	}
	most, kept := l.byteLimits()
	for len(l.complete) > 2*l.set.Window+1 || bytes > most && len(l.complete) > kept {
		bytes -= l.complete[0].bytes
		l.complete = l.complete[1:]
	}
	l.window = min(l.window, len(l.complete))
}

// endPlaylist closes the last segment and ends the playlist.
func (l *segmenter) endPlaylist() {
	l.closeSegment()
	l.ended = true
}

// view returns the current state, or nil if there is no playlist yet.
func (l *segmenter) view() *view {
	l.fixTargets()
	if l.target == 0 {
		return nil
	}
	v := &view{
		stored: slices.Clone(l.complete), window: l.window, target: l.target, partTarget: l.partTarget,
		nextPart: l.nextPart, next: l.nextSeq, ended: l.ended, windowSize: l.set.Window, first: l.firstSeq,
	}
	if l.open != nil {
		open := *l.open
		v.open = &open
	}
	return v
}
