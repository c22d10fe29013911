package hls

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
)

const (
	// shortest is what a segment has at the least; their sequences count in it.
	shortest = 500 * time.Millisecond
	// early is how much sooner than a segment is long a keyframe that stands in for video ends it.
	early = 100 * time.Millisecond
	// longest is how long a segment may get before the target duration is known.
	longest = 12 * time.Second
	// rounds is how far over the target duration a segment may be: it counts rounded.
	rounds = 450 * time.Millisecond
)

// part is a group of whole chunks.
type part struct {
	name        string // not the segment's: what comes next is told before it is known where it belongs
	chunks      []*cmaf.Chunk
	duration    time.Duration
	independent bool
}

// initSection is one that segments refer to.
type initSection struct {
	id    string
	chunk *cmaf.Chunk
}

// segment is immutable once it is in a view; of the open one a view has a copy.
type segment struct {
	seq           uint64
	id            string // what makes its name one that nobody guesses
	start         time.Duration
	wall          time.Time
	duration      time.Duration
	parts         []*part
	init          *initSection
	discontinuity bool   // it has the tag
	breaks        uint64 // its discontinuity sequence
	independent   bool
	bytes, frames int
}

// list makes segments and parts of chunks. It has no clock and no lock.
type list struct {
	set   Settings
	id    func() string // makes an id
	share func() int64  // the most bytes that memory allows; nil: no bound

	done     []*segment // oldest first, their sequences rising by one
	window   int        // how many of them, from the newest back, are in the playlist
	open     *segment   // nil: none
	parts    *part      // of open, being filled; nil: none
	init     *initSection
	next     uint64 // sequence of the next segment
	breaks   uint64
	nextID   string
	nextPart string // name of the part that is closed next
	named    int    // parts so far
	broken   bool   // the next segment begins with a discontinuity
	ended    bool
	initial  bool   // no segment has begun
	first    uint64 // sequence of the first segment

	like       int           // target of the stream that this is a rendition of: variants have the same; 0: none
	target     int           // seconds; 0: not fixed yet
	partTarget time.Duration // 0: not fixed yet
}

// newList begins behind these sequences, which are those of another list of the stream.
func newList(s Settings, seq, breaks uint64, id func() string) *list {
	l := &list{set: s, id: id, next: seq, breaks: breaks, nextID: id(), initial: true}
	l.namePart()
	return l
}

// epoch is where the sequences of segments begin, which count in the shortest length: until 2058
// they have 31 bits, and one that begins later stands above all that came before.
var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// sequence is that of a segment at a time of day.
func sequence(at time.Time) uint64 { return steps(at.Sub(epoch), shortest) }

// steps is how many there are in a time; none in one that has not come.
func steps(d, step time.Duration) uint64 { return uint64(max(0, d/step)) } //nolint:gosec // not negative

// add takes the next chunk. lost tells that some before it are missing. It returns whether
// there is something new to tell.
func (l *list) add(c *cmaf.Chunk, lost bool) bool {
	if c.Init {
		l.close()
		l.init = &initSection{id: l.id(), chunk: c}
		return false
	}
	if l.initial {
		l.initial = false
		l.next = max(l.next, sequence(c.Wall))
		l.first = l.next
	}
	switch {
	case lost || c.Discontinuity:
		l.close()
		l.broken = true
	case l.open != nil && l.ends(c):
		l.close()
	}
	fresh := false
	if l.open == nil {
		l.begin(c)
		fresh = len(l.done) > 0
	}
	if l.parts != nil && l.partTarget > 0 && l.parts.duration+c.Duration > l.partTarget {
		head, tail := l.complete(l.parts, c)
		if head != nil {
			l.put(head)
			c = tail
		}
		l.closePart()
		fresh = true
	}
	l.put(c)
	if l.parts.duration >= l.fills() {
		l.closePart()
		fresh = true
	}
	return fresh
}

// put adds a chunk to the part that is being filled.
func (l *list) put(c *cmaf.Chunk) {
	if l.parts == nil {
		l.parts = &part{independent: c.Independent}
	}
	l.parts.put(c)
	s := l.open
	s.duration += c.Duration
	s.bytes += len(c.Data)
	s.frames += c.VideoFrames
}

func (p *part) put(c *cmaf.Chunk) {
	p.chunks = append(p.chunks, c)
	p.duration += c.Duration
}

// complete splits a chunk that is too long for a part that is too short without it, so that the
// first half completes the part; nil where that cannot be.
func (l *list) complete(p *part, c *cmaf.Chunk) (head, tail *cmaf.Chunk) {
	if p.duration >= l.fills() {
		return nil, nil
	}
	return c.Split(l.fills()-p.duration, l.partTarget-p.duration)
}

// fills is how long a part is closed without a look at what comes next.
func (l *list) fills() time.Duration {
	if l.partTarget > 0 {
		return enough(l.partTarget)
	}
	return l.set.Part
}

// ends tells whether the open segment ends before c.
func (l *list) ends(c *cmaf.Chunk) bool {
	d := l.open.duration
	if c.Segment || c.StandIn && d >= max(shortest, l.set.Segment-early) {
		return true
	}
	most := max(longest, 3*l.set.Segment)
	if l.target > 0 {
		most = time.Duration(l.target)*time.Second + rounds
	}
	bytes, kept := l.bounds()
	return d+c.Duration > most || l.open.bytes > 0 && l.open.bytes+len(c.Data) > bytes/kept
}

// bounds returns how many bytes all segments may hold, and how many of the newest are kept though
// they hold more.
func (l *list) bounds() (bytes, kept int) {
	bytes = math.MaxInt
	if l.set.Bytes > 0 {
		bytes = l.set.Bytes
	}
	if l.share != nil {
		if share := l.share(); share < int64(bytes) {
			return int(share), 1
		}
	}
	return bytes, 3
}

// before is how many bytes the chunks have whose sequences are below seq.
func (l *list) before(seq uint64) (bytes int) {
	add := func(p *part) {
		for _, c := range p.chunks {
			if c.Seq < seq {
				bytes += len(c.Data)
			}
		}
	}
	for _, s := range l.done {
		for _, p := range s.parts {
			add(p)
		}
	}
	if l.open != nil {
		for _, p := range l.open.parts {
			add(p)
		}
	}
	if l.parts != nil {
		add(l.parts)
	}
	return bytes
}

func (l *list) begin(c *cmaf.Chunk) {
	if l.broken && len(l.done) > 0 {
		l.breaks++
	} else {
		l.broken = false // nothing came before
	}
	l.open = &segment{
		seq: l.next, id: l.nextID, start: c.Start, wall: c.Wall, init: l.init, discontinuity: l.broken, breaks: l.breaks, independent: c.Independent,
	}
	l.broken = false
	l.next++
	l.nextID = l.id()
}

// namePart makes the name of the next part.
func (l *list) namePart() {
	l.nextPart = "p" + strconv.Itoa(l.named) + "-" + l.id()
	l.named++
}

func (l *list) closePart() {
	l.parts.name = l.nextPart
	l.namePart()
	l.open.parts = append(l.open.parts, l.parts)
	l.parts = nil
}

// close closes the open segment.
func (l *list) close() {
	if l.open == nil {
		return
	}
	if l.parts != nil {
		l.closePart()
	}
	l.done = append(l.done, l.open)
	l.open = nil
	l.window = min(l.window+1, l.set.Window)
	l.trim()
}

// trim gives up segments: those that have left the playlist are kept as long again, as far as
// the bytes allow; of the playlist the oldest go where it alone is too much.
func (l *list) trim() {
	bytes := 0
	for _, s := range l.done {
		bytes += s.bytes
	}
	most, kept := l.bounds()
	for len(l.done) > 2*l.set.Window+1 || bytes > most && len(l.done) > kept {
		bytes -= l.done[0].bytes
		l.done = l.done[1:]
	}
	l.window = min(l.window, len(l.done))
}

// finish closes the playlist.
func (l *list) finish() {
	l.close()
	l.ended = true
}

// view is what there is now, or nil where there is nothing to show yet.
func (l *list) view() *view {
	l.fix()
	if l.target == 0 {
		return nil
	}
	v := &view{
		stored: slices.Clone(l.done), window: l.window, target: l.target, partTarget: l.partTarget,
		nextPart: l.nextPart, next: l.next, ended: l.ended, hold: l.set.Window, first: l.first,
	}
	if l.open != nil {
		open := *l.open
		v.open = &open
	}
	return v
}
