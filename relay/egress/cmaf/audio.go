package cmaf

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// queueAudio queues an audio frame. Its start is the end of the previous frame, which is found by
// counting samples, because DTS in milliseconds would leave gaps.
//
// The counted time must stay close to the DTS, or audio and video drift apart. At each silent
// frame, and at the first audio after a splice, it is corrected to within half a frame: one silent
// frame is dropped or added.
func (c *cutter) queueAudio(p *packetbuf.Packet) {
	t := &c.tracks[audio]
	is := c.inForce[audio]
	s := sample{p: p, at: t.nextTime, dur: max(1, is.frameSamples(p))}
	at, silent := is.ticks(p.DTS), p.Flags&packetbuf.Filler != 0
	switch early := at - t.nextTime; {
	case !t.counting:
		s.at = at
	case silent && -early > s.dur/2:
		return // the audio before it covers most of it
	case abs(early) > is.scale/20: // 50 ms
		c.bridge(at)
		s.at = max(at, c.stretch(at))
	case (silent || c.spliced) && early > s.dur/2:
		c.queueSilence()
		s.at = t.nextTime
	}
	c.spliced = silent
	t.counting, t.lastTime, t.nextTime = true, s.at, s.at+s.dur
	c.audioQueue = append(c.audioQueue, s)
	c.placeQueued(false)
}

// queueSilence queues a silent frame at the end of the audio, if one can be made for the codec.
func (c *cutter) queueSilence() {
	frame, samples := c.audioGap.Frame()
	if frame == nil {
		return
	}
	is, t := c.inForce[audio], &c.tracks[audio]
	p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: is.codec, Kind: packetbuf.Delta, Flags: packetbuf.Filler, DTS: is.time(t.nextTime), Arrived: c.lastArrived, Payload: frame}
	c.audioQueue = append(c.audioQueue, sample{p: p, at: t.nextTime, dur: samples})
	t.lastTime, t.nextTime = t.nextTime, t.nextTime+samples
}

// bridge fills the time from the end of the last audio frame up to time at, in ticks, with silence.
// It does nothing if the last frame has not been emitted, because that frame can be stretched
// instead.
func (c *cutter) bridge(at int64) {
	frame, samples := c.audioGap.Frame()
	if frame == nil || len(c.audioQueue) > 0 || len(c.current.samples[audio]) > 0 {
		return
	}
	for t := &c.tracks[audio]; at-t.nextTime >= samples; {
		c.queueSilence()
	}
}

// spliceTolerance is the maximum time by which audio may end before a splice without being
// extended. The silence that fills such a hole arrives after the video frame. If the last audio
// frame were extended over the hole instead, players that ignore timestamps within a track would
// play the following audio too early.
const spliceTolerance = 60 * time.Millisecond

// audioReaches reports whether the audio in force lasts until the DTS end.
func (c *cutter) audioReaches(end time.Duration) bool {
	t := &c.tracks[audio]
	return c.inForce[audio] != nil && t.counting && t.nextTime >= c.inForce[audio].ticks(end)
}

// extendAudio extends the audio in force up to the DTS end. Players would otherwise stall there.
func (c *cutter) extendAudio(end time.Duration) {
	t := &c.tracks[audio]
	if c.inForce[audio] == nil || !t.counting {
		return
	}
	if at := c.inForce[audio].ticks(end); at > t.nextTime {
		c.bridge(at)
		t.nextTime = max(t.nextTime, c.stretch(at))
	}
}

// stretch extends the last audio frame up to time at, in ticks, if it has not been emitted. It
// returns the first free time.
func (c *cutter) stretch(at int64) int64 {
	last := c.audioQueue
	if len(last) == 0 {
		last = c.current.samples[audio]
	}
	if len(last) == 0 {
		return c.tracks[audio].lastTime + 1
	}
	s := &last[len(last)-1]
	s.dur = max(1, at-s.at)
	return s.at + s.dur
}

func abs(v int64) int64 { return max(v, -v) }

// placeQueued moves queued audio frames into chunks, as many as possible. If force is set, it moves
// all of them.
func (c *cutter) placeQueued(force bool) {
	for len(c.audioQueue) > 0 {
		if force {
			c.estimateLastDuration()
		}
		if !c.placeAudio(c.audioQueue[0]) {
			return
		}
		c.shift()
	}
}

// shift removes the first queued audio frame. It copies the others, so that the queue keeps its
// memory.
func (c *cutter) shift() {
	n := copy(c.audioQueue, c.audioQueue[1:])
	c.audioQueue[n] = sample{}
	c.audioQueue = c.audioQueue[:n]
}

// placeAudio adds an audio frame to the current chunk, or to a new one. It returns false if the
// current chunk must be closed first and that is not possible yet.
func (c *cutter) placeAudio(s sample) bool {
	if c.current.open && (c.inForce[video] == nil && s.p.Flags&packetbuf.Segment != 0 || c.exceeds(s)) {
		if c.lastOpen() {
			if last := c.current.samples[video]; c.audioQueue[len(c.audioQueue)-1].p.DTS-last[len(last)-1].p.DTS < maxAudioLead {
				return false
			}
			c.setLastDuration(c.audioQueue[len(c.audioQueue)-1].p.DTS)
		}
		c.closeChunk(s.p.DTS)
	}
	if !c.current.open {
		c.openChunk(s.p, c.inForce[video] == nil)
	}
	c.append(s)
	return true
}

// exceeds reports whether an audio frame would make the current chunk too long. If video frames are
// more frequent than chunks, it allows a longer chunk, because the next video frame ends the chunk.
func (c *cutter) exceeds(s sample) bool {
	end := s.p.DTS - c.current.start
	if v := c.current.samples[video]; len(v) == 0 || v[len(v)-1].p.Flags&packetbuf.Filler != 0 || c.tracks[video].interval > maxDuration {
		return end+c.inForce[audio].time(s.dur) > maxDuration+rounding
	}
	return end >= maxDuration
}
