package cmaf

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/audiogap"
)

const (
	// maxDuration is the maximum duration of a chunk.
	maxDuration = 100 * time.Millisecond
	// rounding is added to maxDuration, because DTS are whole milliseconds.
	rounding = 2 * time.Millisecond
	// maxAudioLead is how far audio may run ahead of a video frame whose duration is not yet
	// known. Synthesized frames are one second apart.
	maxAudioLead = time.Second
	// repeatDuration is the duration of a repeated keyframe while the publisher, or its video,
	// is away.
	repeatDuration = time.Second
	// minGap is the gap without media that is signaled as a discontinuity. It is longer at low
	// frame rates.
	minGap = 1500 * time.Millisecond
	// absentAfter is how long a track may be missing while the other continues before it is
	// replaced. Video is replaced by its newest keyframe. Audio for which no silence can be made
	// is removed from the init section at the next keyframe, because players wait for every
	// track that it names.
	absentAfter = 2 * time.Second
	// startWait is how long the first chunk waits for a track that the stream has.
	startWait = 500 * time.Millisecond
	// startWaitVideo is how long the first chunk waits for video that may still arrive: players
	// cannot add it to a buffer that was created without video.
	startWaitVideo = 10 * time.Second
	// maxRejoinWait is how long new audio waits for a keyframe before it gets an init section
	// anyway.
	maxRejoinWait = time.Minute
)

// cutter cuts packets into chunks. It has no clock and no lock.
type cutter struct {
	emit       func(*Chunk)
	seq        uint64 // of the next chunk
	tracks     [2]trackState
	inForce    trackSet // described by the init section in force
	info       *Info
	audioGap   audiogap.Track // of the audio in force
	audioSince time.Duration  // start of the audio in force; earlier frames belong to other audio
	spliced    bool           // the next audio frame is the first behind a splice or behind silence
	standIn    standIn
	// silentTrack adds a silent audio track if there is only video, so that players have a track
	// for audio that arrives later.
	silentTrack bool
	awaits      func(packetbuf.Track) bool // reports whether a track may still arrive; nil: never
	requestKey  func() bool                // requests a keyframe from the publisher; may be nil
	warn        func(packetbuf.Codec)      // called when audio is removed; may be nil

	expects     [2]bool // tracks that the stream has
	startQueue  []*packetbuf.Packet
	started     bool
	lastSeq     uint64    // sequence number of the newest media packet
	lastArrived time.Time // arrival of that packet

	current       fragment
	audioQueue    []sample          // audio after the current chunk, while the duration of its last frame is unknown
	newestDTS     time.Duration     // DTS of the newest sample
	keyDTS        time.Duration     // DTS of the newest keyframe
	discontinuity bool              // the next chunk is not continuous
	useRepeats    bool              // repeated packets are used
	repeatKey     *packetbuf.Packet // keyframe that the current repeated packets follow
	wall          wallClock
}

// trackState is the state of one track.
type trackState struct {
	desc        *description // from the newest configuration; nil if there is none or it is not supported
	config      *packetbuf.Packet
	stale       bool          // video: config is newer than desc, which changes with the next keyframe
	unsupported bool          // the track has arrived in an unsupported codec
	gone        bool          // the track is absent, and nothing can replace it
	lastDTS     time.Duration // DTS of the newest sample
	lastReal    time.Duration // video: DTS of the newest frame that is not a stand-in
	interval    time.Duration // between the last two video frames
	started     bool          // a sample has arrived
	counting    bool          // audio: lastTime and nextTime are set
	lastTime    int64         // audio: start of the last frame
	nextTime    int64         // end of the last frame; for audio by counting samples
}

// fragment is the chunk that is being built.
type fragment struct {
	open          bool
	start         time.Duration
	independent   bool
	segment       bool // as marked by the stream
	standIn       bool // begins with a stand-in keyframe
	discontinuity bool
	wall          time.Time
	arrived       time.Time
	samples       [2][]sample
}

const (
	video = int(packetbuf.Video)
	audio = int(packetbuf.Audio)
)

// write processes the next packet of the stream. It returns a *CodecError for video that is not
// supported; nothing may be written after that.
func (c *cutter) write(p *packetbuf.Packet) error {
	switch {
	case p.Track == packetbuf.Data || p.Bridged():
		return nil
	case p.Track == packetbuf.Video && !supported(p):
		return &CodecError{p.Codec}
	case !supported(p):
		c.tracks[audio].unsupported, c.tracks[audio].desc = true, nil
		return nil
	case p.Kind == packetbuf.Config:
		c.configure(p)
		return nil
	case p.Seq != 0 && p.Seq <= c.lastSeq:
		return nil // a new subscription begins before the end of the previous one
	}
	if p.Flags&packetbuf.Repeat != 0 && !c.needsRepeat(p) {
		c.lastSeq = max(c.lastSeq, p.Seq)
		return nil
	}
	c.lastSeq, c.lastArrived = max(c.lastSeq, p.Seq), p.Arrived
	c.updateDescription(p)
	if c.started {
		c.process(p)
		return nil
	}
	c.startQueue = append(c.startQueue, p)
	if c.ready(p) {
		c.startOutput()
	}
	return nil
}

// needsRepeat reports whether the repeated frame p is needed, because a segment begins with it.
func (c *cutter) needsRepeat(p *packetbuf.Packet) bool {
	if p.Kind == packetbuf.Key {
		c.useRepeats = p.Flags&packetbuf.Segment != 0
	}
	return c.useRepeats
}

// process adds a sample, after updating the init section and closing gaps before it.
func (c *cutter) process(p *packetbuf.Packet) {
	tr := int(p.Track)
	t := &c.tracks[tr]
	if t.desc == nil {
		return
	}
	if !c.standIn.admit(p) {
		if c.requestKey != nil {
			c.requestKey()
		}
		return
	}
	c.checkAudio(p)
	if tr == audio && c.inForce[video] != nil {
		c.repeatKeyframe(p)
	}
	c.updateInit(p)
	if !t.desc.same(c.inForce[tr]) {
		if tr == audio {
			t.lastDTS, t.started = p.DTS, true
		}
		return
	}
	if c.newestDTS > 0 && p.DTS-c.newestDTS > max(minGap, 3*c.tracks[video].interval) {
		c.flush()
		c.discontinuity = true
		c.audioGap.Begin(p.DTS)
	}
	c.addSample(p)
}

// addSample adds a sample of a track in force.
func (c *cutter) addSample(p *packetbuf.Packet) {
	t := &c.tracks[p.Track]
	if p.Track == packetbuf.Video {
		c.fillAudio(p)
		c.addVideo(p)
	} else if !c.addAudio(p) {
		return
	}
	t.lastDTS, t.started = p.DTS, true
	c.newestDTS = max(c.newestDTS, p.DTS)
}

// addVideo adds a video frame. A keyframe begins a chunk.
func (c *cutter) addVideo(p *packetbuf.Packet) {
	t := &c.tracks[video]
	s := c.timed(p)
	c.endLastFrame(s.at)
	for len(c.audioQueue) > 0 && c.audioQueue[0].p.DTS < p.DTS && c.placeAudio(c.audioQueue[0]) {
		c.shift()
	}
	if p.Flags&packetbuf.Splice != 0 { // audio begins again about here
		if !c.audioReaches(p.DTS - spliceTolerance) {
			c.extendAudio(p.DTS)
			c.audioGap.Reach(p.DTS)
		}
		c.audioGap.Begin(p.DTS)
		c.spliced = true
	}
	if p.Flags&packetbuf.Filler != 0 && p.Flags&packetbuf.Repeat == 0 && p.Kind == packetbuf.Key {
		s.dur = t.desc.ticks(repeatDuration)
		t.nextTime = s.at + s.dur
	} else if p.Flags&packetbuf.Splice == 0 && t.started {
		t.interval = p.DTS - t.lastReal
	}
	if !c.standIn.on {
		t.lastReal = p.DTS
	}
	if c.current.open && (p.Kind == packetbuf.Key || p.DTS-c.current.start+min(t.interval, maxDuration/2) > maxDuration+rounding) {
		c.closeChunk(p.DTS)
	}
	if !c.current.open {
		c.openChunk(p, p.Kind == packetbuf.Key)
	}
	if p.Kind == packetbuf.Key {
		c.keyDTS = p.DTS
	}
	c.append(s)
	c.placeQueued(false)
}

// timed returns the video frame p with its times in ticks. Repeated frames are a millisecond
// apart in the stream and a tick apart here, so that all of them pass before the screen is drawn
// once.
func (c *cutter) timed(p *packetbuf.Packet) sample {
	is := c.tracks[video].desc
	if p.Flags&packetbuf.Repeat == 0 {
		return sample{p: p, at: is.ticks(p.DTS), cto: is.offset(p.CTO)}
	}
	if p.Kind == packetbuf.Key {
		c.repeatKey = p
	}
	return sample{
		p: p, at: is.ticks(c.repeatKey.DTS) + int64((p.DTS-c.repeatKey.DTS)/time.Millisecond),
		cto: is.offset(c.repeatKey.CTO) + int64((p.CTO-c.repeatKey.CTO)/time.Millisecond),
	}
}

// setLastDuration ends the last video frame of the current chunk at next, a DTS.
func (c *cutter) setLastDuration(next time.Duration) {
	if len(c.current.samples[video]) > 0 {
		c.endLastFrame(c.inForce[video].ticks(next))
	}
}

func (c *cutter) endLastFrame(next int64) {
	// endLastFrame ends the last video frame of the current chunk at next, in ticks.
	if s := c.current.samples[video]; len(s) > 0 {
		last := &s[len(s)-1]
		last.dur = max(1, next-last.at)
		c.tracks[video].nextTime = last.at + last.dur
	}
}

// lastOpen reports whether the duration of the current chunk's last video frame is unknown.
func (c *cutter) lastOpen() bool {
	s := c.current.samples[video]
	return len(s) > 0 && s[len(s)-1].dur == 0
}

func (c *cutter) append(s sample) {
	tr := s.p.Track
	c.current.samples[tr] = append(c.current.samples[tr], s)
	c.current.arrived = s.p.Arrived
}

// openChunk begins a chunk with p.
func (c *cutter) openChunk(p *packetbuf.Packet, independent bool) {
	c.wall.observe(p)
	f := &c.current
	f.open, f.independent, f.discontinuity, c.discontinuity = true, independent, c.discontinuity, false
	f.segment, f.standIn = p.Flags&packetbuf.Segment != 0, independent && c.standIn.on
	f.start = max(p.DTS, f.start) // chunk starts never decrease
	f.wall = c.wall.timeOf(f.start)
}

// closeChunk emits the current chunk, which ends at end.
func (c *cutter) closeChunk(end time.Duration) {
	f := &c.current
	if !f.open {
		return
	}
	c.estimateLastDuration()
	c.emit(&Chunk{
		Seq: c.seq, Data: c.inForce.fragment(2*c.seq, &f.samples), Info: c.info, Start: f.start, Duration: max(end-f.start, 0),
		Independent: f.independent, Segment: f.segment, StandIn: f.standIn, Discontinuity: f.discontinuity, Wall: f.wall, Arrived: f.arrived, VideoFrames: len(f.samples[video]),
		pieces: piecesOf(&f.samples),
	})
	c.seq++
	f.open = false
	for tr := range f.samples {
		clear(f.samples[tr])
		f.samples[tr] = f.samples[tr][:0]
	}
}

// flush emits the current chunk when no continuous media follows.
func (c *cutter) flush() {
	c.placeQueued(true)
	if !c.current.open {
		return
	}
	c.estimateLastDuration()
	c.closeChunk(c.chunkEnd())
}

// estimateLastDuration gives the last video frame the duration of the frame before it, if no
// frame follows.
func (c *cutter) estimateLastDuration() {
	if !c.lastOpen() {
		return
	}
	s := c.current.samples[video]
	length := c.tracks[video].interval
	if length <= 0 || length > maxAudioLead {
		length = 40 * time.Millisecond
	}
	last := &s[len(s)-1]
	last.dur = c.inForce[video].ticks(length)
	c.tracks[video].nextTime = last.at + last.dur
}

// chunkEnd returns the end of the samples of the current chunk.
func (c *cutter) chunkEnd() time.Duration {
	end := c.current.start
	for tr, s := range c.current.samples {
		if n := len(s); n > 0 {
			// The DTS, as for the chunk's start, and not the counted time of audio.
			end = max(end, s[n-1].p.DTS+c.inForce[tr].time(s[n-1].dur))
		}
	}
	return end
}
