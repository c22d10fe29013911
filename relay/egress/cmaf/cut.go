package cmaf

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/audiogap"
)

const (
	// Most is how much media a chunk holds at the most.
	Most = 100 * time.Millisecond
	// rounding is how much more it may be where times are whole milliseconds.
	rounding = 2 * time.Millisecond
	// patience is how far sound may run ahead of a picture whose end is not known yet. Made
	// pictures stand a second apart.
	patience = time.Second
	// stands is how long a keyframe stands that is repeated while the publisher, or its video, is
	// away.
	stands = time.Second
	// gap without any media is one that players are told of; at a slow rate of pictures more.
	gap = 1500 * time.Millisecond
	// absence is how long a track may be away while the other goes on before something stands
	// in for it: the newest keyframe for video. Audio for which no silence can be made is taken
	// out of the init section at the next keyframe, since players wait for each track that it
	// names.
	absence = 2 * time.Second
	// settle is how long the start waits for a track that the stream has.
	settle = 500 * time.Millisecond
	// settleVideo is how long the start waits for video that may still come: players cannot
	// take it into a buffer that was made without.
	settleVideo = 10 * time.Second
	// rejoin is how long new audio waits for a keyframe to come in with.
	rejoin = time.Minute
)

// cutter makes chunks of packets. It has no clock and no lock.
type cutter struct {
	emit  func(*Chunk)
	seq   uint64 // of the next chunk
	in    [2]track
	force tracks // what the init section in force says
	info  *Info
	gap   audiogap.Track // of the audio in force
	since time.Duration  // audio in force begins here; what stands before is of another
	still standIn
	// silentTrack names a silent audio track where there is video alone, so that audio that
	// comes later finds a place in players.
	silentTrack bool
	awaits      func(packetbuf.Track) bool // reports whether a track may still come; nil: none
	needKey     func() bool                // asks the publisher for a keyframe; nil: nobody
	warn        func(packetbuf.Codec)      // told of audio that is taken out; nil: there is no warning

	expects [2]bool // tracks that are to come
	held    []*packetbuf.Packet
	begun   bool
	read    uint64    // sequence of the newest media packet that came
	arrived time.Time // when that came

	open    fragment
	waiting []sample          // sound behind the open chunk, while the end of its last picture is not known
	newest  time.Duration     // DTS of the newest sample
	key     time.Duration     // DTS of the newest keyframe
	broken  bool              // the next chunk is not continuous
	way     bool              // what is sent again is taken
	from    *packetbuf.Packet // the keyframe with which that begins
	wall    wall
}

// track is what is known of one track.
type track struct {
	is       *description // by the configuration that came last; nil: none, or none that can be carried
	config   *packetbuf.Packet
	stale    bool          // of video: config is newer than is, and waits for its keyframe
	foreign  bool          // it has come in a codec that cannot be carried
	gone     bool          // it has been absent, and nothing can stand in for it
	last     time.Duration // DTS of the newest sample
	shown    time.Duration // of video: the same, stand-ins aside
	interval time.Duration // between the last two pictures
	any      bool          // a sample has come
	counting bool          // of audio: at and next are set
	at       int64         // of audio: where the last frame stands
	next     int64         // where it ends: of audio by counting
}

// fragment is the chunk that is being filled.
type fragment struct {
	on          bool
	start       time.Duration
	independent bool
	segment     bool // as the stream has marked
	standIn     bool // it begins with a keyframe that stands in
	broken      bool
	wall        time.Time
	arrived     time.Time
	samples     [2][]sample
}

const (
	video = int(packetbuf.Video)
	audio = int(packetbuf.Audio)
)

// write takes the next packet of the stream. Its error is a *CodecError, after which nothing
// may be written.
func (c *cutter) write(p *packetbuf.Packet) error {
	switch {
	case p.Track == packetbuf.Data || p.Bridged():
		return nil
	case p.Track == packetbuf.Video && !carried(p):
		return &CodecError{p.Codec}
	case !carried(p):
		c.in[audio].foreign, c.in[audio].is = true, nil
		return nil
	case p.Kind == packetbuf.Config:
		c.configure(p)
		return nil
	case p.Seq != 0 && p.Seq <= c.read:
		return nil // a second place on the stream begins before where the first one ended
	}
	if p.Flags&packetbuf.Repeat != 0 && !c.takes(p) {
		c.read = max(c.read, p.Seq)
		return nil
	}
	c.read, c.arrived = max(c.read, p.Seq), p.Arrived
	c.introduce(p)
	if c.begun {
		c.take(p)
		return nil
	}
	c.held = append(c.held, p)
	if c.ready(p) {
		c.begin()
	}
	return nil
}

// takes reports whether a picture that is sent again is needed: a segment begins with it.
func (c *cutter) takes(p *packetbuf.Packet) bool {
	if p.Kind == packetbuf.Key {
		c.way = p.Flags&packetbuf.Segment != 0
	}
	return c.way
}

// take puts a sample where it belongs.
func (c *cutter) take(p *packetbuf.Packet) {
	tr := int(p.Track)
	t := &c.in[tr]
	if t.is == nil {
		return
	}
	if !c.still.admit(p) {
		if c.needKey != nil {
			c.needKey()
		}
		return
	}
	c.miss(p)
	if tr == audio && c.force[video] != nil {
		c.standIn(p)
	}
	c.renew(p)
	if !t.is.same(c.force[tr]) {
		if tr == audio {
			t.last, t.any = p.DTS, true
		}
		return
	}
	if c.newest > 0 && p.DTS-c.newest > max(gap, 3*c.in[video].interval) {
		c.finish()
		c.broken = true
		c.gap.Begin(p.DTS)
	}
	c.put(p)
}

// put adds a sample of a track in force.
func (c *cutter) put(p *packetbuf.Packet) {
	t := &c.in[p.Track]
	if p.Track == packetbuf.Video {
		c.close(p)
		c.picture(p)
	} else if !c.heard(p) {
		return
	}
	t.last, t.any = p.DTS, true
	c.newest = max(c.newest, p.DTS)
}

// picture adds a picture; a keyframe begins a chunk.
func (c *cutter) picture(p *packetbuf.Packet) {
	t := &c.in[video]
	s := c.placed(p)
	c.settleAt(s.at)
	for len(c.waiting) > 0 && c.waiting[0].p.DTS < p.DTS && c.place(c.waiting[0]) {
		c.shift()
	}
	if p.Flags&packetbuf.Splice != 0 { // audio begins again about here
		if !c.reaches(p.DTS - nearly) {
			c.reach(p.DTS)
			c.gap.Reach(p.DTS)
		}
		c.gap.Begin(p.DTS)
	}
	if p.Flags&packetbuf.Filler != 0 && p.Flags&packetbuf.Repeat == 0 && p.Kind == packetbuf.Key {
		s.dur = t.is.ticks(stands)
		t.next = s.at + s.dur
	} else if p.Flags&packetbuf.Splice == 0 && t.any {
		t.interval = p.DTS - t.shown
	}
	if !c.still.on {
		t.shown = p.DTS
	}
	if c.open.on && (p.Kind == packetbuf.Key || p.DTS-c.open.start+min(t.interval, Most/2) > Most+rounding) {
		c.cut(p.DTS)
	}
	if !c.open.on {
		c.start(p, p.Kind == packetbuf.Key)
	}
	if p.Kind == packetbuf.Key {
		c.key = p.DTS
	}
	c.add(s)
	c.drain(false)
}

// placed is a picture with its times. Those that are sent again stand a millisecond apart, and
// here a tick: all of them pass before a screen is drawn once, or who watches would see them.
func (c *cutter) placed(p *packetbuf.Packet) sample {
	is := c.in[video].is
	if p.Flags&packetbuf.Repeat == 0 {
		return sample{p: p, at: is.ticks(p.DTS), cto: is.offset(p.CTO)}
	}
	if p.Kind == packetbuf.Key {
		c.from = p
	}
	return sample{
		p: p, at: is.ticks(c.from.DTS) + int64((p.DTS-c.from.DTS)/time.Millisecond),
		cto: is.offset(c.from.CTO) + int64((p.CTO-c.from.CTO)/time.Millisecond),
	}
}

// settle gives the picture that came last its duration: until the next one, or what is wanted
// in its place, begins.
func (c *cutter) settle(next time.Duration) {
	if len(c.open.samples[video]) > 0 {
		c.settleAt(c.force[video].ticks(next))
	}
}

func (c *cutter) settleAt(next int64) {
	if s := c.open.samples[video]; len(s) > 0 {
		last := &s[len(s)-1]
		last.dur = max(1, next-last.at)
		c.in[video].next = last.at + last.dur
	}
}

// pending tells whether the end of the open chunk's last picture is not known.
func (c *cutter) pending() bool {
	s := c.open.samples[video]
	return len(s) > 0 && s[len(s)-1].dur == 0
}

func (c *cutter) add(s sample) {
	tr := s.p.Track
	c.open.samples[tr] = append(c.open.samples[tr], s)
	c.open.arrived = s.p.Arrived
}

// start opens a chunk with p.
func (c *cutter) start(p *packetbuf.Packet, independent bool) {
	c.wall.see(p)
	f := &c.open
	f.on, f.independent, f.broken, c.broken = true, independent, c.broken, false
	f.segment, f.standIn = p.Flags&packetbuf.Segment != 0, independent && c.still.on
	f.start = max(p.DTS, f.start) // the start of a chunk does not go back
	f.wall = c.wall.at(f.start)
}

// cut closes the open chunk, which ends where the next one begins.
func (c *cutter) cut(end time.Duration) {
	f := &c.open
	if !f.on {
		return
	}
	c.endPicture()
	c.emit(&Chunk{
		Seq: c.seq, Data: c.force.fragment(2*c.seq, &f.samples), Info: c.info, Start: f.start, Duration: max(end-f.start, 0),
		Independent: f.independent, Segment: f.segment, StandIn: f.standIn, Discontinuity: f.broken, Wall: f.wall, Arrived: f.arrived, VideoFrames: len(f.samples[video]),
		pieces: piecesOf(&f.samples),
	})
	c.seq++
	f.on = false
	for tr := range f.samples {
		clear(f.samples[tr])
		f.samples[tr] = f.samples[tr][:0]
	}
}

// finish closes what is open where nothing follows, or nothing that is continuous.
func (c *cutter) finish() {
	c.drain(true)
	if !c.open.on {
		return
	}
	c.endPicture()
	c.cut(c.end())
}

// endPicture has a picture after which none is known of last as long as the one before.
func (c *cutter) endPicture() {
	if !c.pending() {
		return
	}
	s := c.open.samples[video]
	length := c.in[video].interval
	if length <= 0 || length > patience {
		length = 40 * time.Millisecond
	}
	last := &s[len(s)-1]
	last.dur = c.force[video].ticks(length)
	c.in[video].next = last.at + last.dur
}

// end is where the samples of the open chunk end.
func (c *cutter) end() time.Duration {
	end := c.open.start
	for tr, s := range c.open.samples {
		if n := len(s); n > 0 {
			// Of sound the DTS, which the chunk's start is in too, not the counted time.
			end = max(end, s[n-1].p.DTS+c.force[tr].time(s[n-1].dur))
		}
	}
	return end
}
