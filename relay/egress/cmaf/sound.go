package cmaf

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// sound adds a frame of sound. Its time is counted from frame to frame: times in milliseconds
// would leave gaps.
func (c *cutter) sound(p *packetbuf.Packet) {
	t := &c.in[audio]
	is := c.force[audio]
	s := sample{p: p, at: t.next, dur: max(1, is.samples(p))}
	switch at := is.ticks(p.DTS); {
	case !t.counting:
		s.at = at
	case abs(at-t.next) > is.scale/20: // 50 ms
		c.bridge(at)
		s.at = max(at, c.stretch(at))
	}
	t.counting, t.at, t.next = true, s.at, s.at+s.dur
	c.waiting = append(c.waiting, s)
	c.drain(false)
}

// bridge puts silence between the last frame of audio and at, where that frame is out already
// and cannot be stretched.
func (c *cutter) bridge(at int64) {
	frame, samples := c.gap.Frame()
	if frame == nil || len(c.waiting) > 0 || len(c.open.samples[audio]) > 0 {
		return
	}
	is, t := c.force[audio], &c.in[audio]
	for at-t.next >= samples {
		p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: is.codec, Kind: packetbuf.Delta, Flags: packetbuf.Filler, DTS: is.time(t.next), Arrived: c.arrived, Payload: frame}
		c.waiting = append(c.waiting, sample{p: p, at: t.next, dur: samples})
		t.at, t.next = t.next, t.next+samples
	}
}

// nearly is how far before a splice audio may end and be left as it is: the silence that closes the
// hole comes behind the picture. A last frame that is stretched over it would be a hole for players
// that play on from frame to frame, whose audio is too early then.
const nearly = 60 * time.Millisecond

// reaches reports whether the audio in force lasts until end.
func (c *cutter) reaches(end time.Duration) bool {
	t := &c.in[audio]
	return c.force[audio] != nil && t.counting && t.next >= c.force[audio].ticks(end)
}

// reach has the audio in force last until at, or players stall there.
func (c *cutter) reach(end time.Duration) {
	t := &c.in[audio]
	if c.force[audio] == nil || !t.counting {
		return
	}
	if at := c.force[audio].ticks(end); at > t.next {
		c.bridge(at)
		t.next = max(t.next, c.stretch(at))
	}
}

// stretch has the last frame of sound, where it is still here, last until at, and returns the
// first time that is free.
func (c *cutter) stretch(at int64) int64 {
	last := c.waiting
	if len(last) == 0 {
		last = c.open.samples[audio]
	}
	if len(last) == 0 {
		return c.in[audio].at + 1
	}
	s := &last[len(last)-1]
	s.dur = max(1, at-s.at)
	return s.at + s.dur
}

func abs(v int64) int64 { return max(v, -v) }

// drain places the sound that waits, as far as it can now; all of it with force.
func (c *cutter) drain(force bool) {
	for len(c.waiting) > 0 {
		if force {
			c.endPicture()
		}
		if !c.place(c.waiting[0]) {
			return
		}
		c.shift()
	}
}

// shift takes the first frame off those that wait. They are few, and keep their memory.
func (c *cutter) shift() {
	n := copy(c.waiting, c.waiting[1:])
	c.waiting[n] = sample{}
	c.waiting = c.waiting[:n]
}

// place adds a frame of sound to the open chunk, or to a new one. It returns false where the
// open one cannot be closed yet.
func (c *cutter) place(s sample) bool {
	if c.open.on && (c.force[video] == nil && s.p.Flags&packetbuf.Segment != 0 || c.exceeds(s)) {
		if c.pending() {
			if last := c.open.samples[video]; c.waiting[len(c.waiting)-1].p.DTS-last[len(last)-1].p.DTS < patience {
				return false
			}
			c.settle(c.waiting[len(c.waiting)-1].p.DTS)
		}
		c.cut(s.p.DTS)
	}
	if !c.open.on {
		c.start(s.p, c.force[video] == nil)
	}
	c.add(s)
	return true
}

// exceeds tells whether the open chunk would be too long with a frame of sound. Beside pictures
// that come faster than chunks are long, the chunk ends with them.
func (c *cutter) exceeds(s sample) bool {
	end := s.p.DTS - c.open.start
	if v := c.open.samples[video]; len(v) == 0 || v[len(v)-1].p.Flags&packetbuf.Filler != 0 || c.in[video].interval > Most {
		return end+c.force[audio].time(s.dur) > Most+rounding
	}
	return end >= Most
}
