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
	// maxAudioLead is the maximum time by which audio may be ahead of a video frame whose duration
	// is not yet known. Synthesized frames are one second apart.
	maxAudioLead = time.Second
	// repeatDuration is the duration of a keyframe that is repeated while the publisher, or its
	// video, is missing.
	repeatDuration = time.Second
	// minGap is the minimum duration without media that is signaled as a discontinuity. At low
	// frame rates the minimum is higher.
	minGap = 1500 * time.Millisecond
	// absentAfter is how long a track may be missing while the other track continues. After that,
	// video is replaced by its newest keyframe. Audio is removed if no silence can be made for its
	// codec: the next keyframe gets an init section without it, because players wait for every
	// track that the init section names.
	absentAfter = 2 * time.Second
	// startWait is how long the first chunk waits for the tracks that the stream has.
	startWait = 500 * time.Millisecond
	// startWaitVideo is how long the first chunk waits for video that may still arrive. Players
	// cannot add video to a buffer that was created without it.
	startWaitVideo = 10 * time.Second
	// maxRejoinWait is how long audio that has appeared or changed waits for a keyframe, before a
	// new init section is emitted without one.
	maxRejoinWait = time.Minute
)

// cutter cuts packets into chunks. It has no clock and no lock.
type cutter struct {
	emit       func(*Chunk)
	seq        uint64 // sequence number of the next chunk
	tracks     [2]trackState
	inForce    trackSet // tracks that the init section in force describes
	info       *Info
	audioGap   audiogap.Track // holes in the audio in force
	audioSince time.Duration  // start of the audio in force; earlier frames belong to previous audio
	spliced    bool           // the next audio frame is the first after a splice or after silence
	standIn    standIn
	// silentTrack adds a silent audio track to a stream with only video, so that players have an
	// audio track if audio appears later.
	silentTrack bool
	awaits      func(packetbuf.Track) bool // reports whether a track may still arrive; nil means never
	requestKey  func() bool                // requests a keyframe from the publisher; may be nil
	warn        func(packetbuf.Codec)      // called when audio is removed; may be nil

	expects     [2]bool // tracks that the stream has
	startQueue  []*packetbuf.Packet
	started     bool
	lastSeq     uint64    // sequence number of the newest media packet
	lastArrived time.Time // arrival of that packet

	current       fragment
	audioQueue    []sample          // audio after the current chunk, whose last frame has no known duration yet
	newestDTS     time.Duration     // DTS of the newest sample
	keyDTS        time.Duration     // DTS of the newest keyframe
	discontinuity bool              // the next chunk does not continue the previous one
	useRepeats    bool              // the current repeated packets are used
	repeatKey     *packetbuf.Packet // keyframe that the current repeated packets follow
	wall          wallClock
}

// trackState is the state of one track.
type trackState struct {
	desc        *description // from the newest configuration; nil if there is none or it is not supported
	config      *packetbuf.Packet
	stale       bool          // video: config is newer than desc, which is updated at the next keyframe
	unsupported bool          // the track has arrived in an unsupported codec
	gone        bool          // the track is absent, and nothing can replace it
	lastDTS     time.Duration // DTS of the newest sample
	lastReal    time.Duration // video: DTS of the newest frame that is not a repeated keyframe
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
	standIn       bool // begins with a repeated keyframe; see standIn
	discontinuity bool
	wall          time.Time
	arrived       time.Time
	samples       [2][]sample
}

const (
	video = int(packetbuf.Video)
	audio = int(packetbuf.Audio)
)

// write processes the next packet of the stream. It returns a *CodecError if the video codec is not
// supported; write must not be called after that.
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
		return nil // a new subscription begins with packets that the previous one has returned
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

// needsRepeat reports whether the repeated frame p is used. Repeated frames are used only if a
// segment begins with the repeated keyframe before them.
func (c *cutter) needsRepeat(p *packetbuf.Packet) bool {
	if p.Kind == packetbuf.Key {
		c.useRepeats = p.Flags&packetbuf.Segment != 0
	}
	return c.useRepeats
}

// process adds a sample. Before that, it updates the init section and closes gaps.
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

// addSample adds a sample of a track that the init section in force describes.
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
	if p.Flags&packetbuf.Splice != 0 { // audio restarts at about this time
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

// timed returns the video frame p with its times in ticks. Repeated frames are a millisecond apart
// in the stream. Here they are a tick apart, so that the player decodes all of them before it draws
// the next picture.
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

// setLastDuration ends the current chunk's last video frame at the DTS next.
func (c *cutter) setLastDuration(next time.Duration) {
	if len(c.current.samples[video]) > 0 {
		c.endLastFrame(c.inForce[video].ticks(next))
	}
}

// endLastFrame ends the last video frame of the current chunk at next, in ticks.
func (c *cutter) endLastFrame(next int64) {
	if s := c.current.samples[video]; len(s) > 0 {
		last := &s[len(s)-1]
		last.dur = max(1, next-last.at)
		c.tracks[video].nextTime = last.at + last.dur
	}
}

// lastOpen reports whether the duration of the current chunk's last video frame is still unknown.
func (c *cutter) lastOpen() bool {
	s := c.current.samples[video]
	return len(s) > 0 && s[len(s)-1].dur == 0
}

func (c *cutter) append(s sample) {
	tr := s.p.Track
	c.current.samples[tr] = append(c.current.samples[tr], s)
	c.current.arrived = s.p.Arrived
}

// openChunk begins a chunk at packet p.
func (c *cutter) openChunk(p *packetbuf.Packet, independent bool) {
	c.wall.observe(p)
	f := &c.current
	f.open, f.independent, f.discontinuity, c.discontinuity = true, independent, c.discontinuity, false
	f.segment, f.standIn = p.Flags&packetbuf.Segment != 0, independent && c.standIn.on
	f.start = max(p.DTS, f.start) // chunk starts never decrease
	f.wall = c.wall.timeOf(f.start)
}

// closeChunk emits the current chunk, which ends at the time end on the stream's clock.
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

// flush emits the current chunk, for when no continuous media follows.
func (c *cutter) flush() {
	c.placeQueued(true)
	if !c.current.open {
		return
	}
	c.estimateLastDuration()
	c.closeChunk(c.chunkEnd())
}

// estimateLastDuration sets the duration of the last video frame to that of the frame before it,
// for when no frame follows.
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

// chunkEnd returns the time at which the samples of the current chunk end.
func (c *cutter) chunkEnd() time.Duration {
	end := c.current.start
	for tr, s := range c.current.samples {
		if n := len(s); n > 0 {
			// Use the DTS and not the counted time of audio, because the start of a chunk is a DTS
			// too.
			end = max(end, s[n-1].p.DTS+c.inForce[tr].time(s[n-1].dur))
		}
	}
	return end
}
