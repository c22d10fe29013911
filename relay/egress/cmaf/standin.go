package cmaf

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/audiogap"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// slack is how much longer than the stream itself the cutter waits to close a hole in the audio.
const slack = 200 * time.Millisecond

// longest bounds what stands in for video at once.
const longest = 10 * time.Second

// early is how much before the place where audio begins a frame of it may stand.
const early = 10 * time.Millisecond

// silentTrack describes audio that stands where there is none.
func silentTrack() *description {
	config, _ := codec.AACConfig(48000, 2)
	d, _ := describe(&packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config, Payload: config}, nil)
	return d
}

// follow begins with the audio that d describes; nil: there is none from at on.
func (c *cutter) follow(d *description, at time.Duration) {
	c.gap = audiogap.Track{Slack: slack}
	c.in[audio].counting = false
	if c.info != nil {
		c.since = at - early
	}
	if d == nil {
		return
	}
	if !selfDescribed(d.codec) {
		c.gap.Configure(&packetbuf.Packet{Track: packetbuf.Audio, Codec: d.codec, Kind: packetbuf.Config, Payload: d.record})
	}
	c.gap.Begin(at)
}

// close closes holes in the audio before the video packet p. Where it is known that no audio of
// the kind in force is coming, silence reaches up to p.
func (c *cutter) close(p *packetbuf.Packet) {
	if c.force[audio] == nil {
		return
	}
	c.silence(c.gap.Video(p.DTS))
	if !c.in[audio].is.same(c.force[audio]) {
		c.silence(c.gap.Fill(p.DTS))
	}
}

// heard adds an audio frame behind the silence that belongs before it. It returns false for one
// that is too late.
func (c *cutter) heard(p *packetbuf.Packet) bool {
	if p.DTS < c.since || c.gap.Late(p.DTS) {
		return false
	}
	c.silence(c.gap.Audio(p))
	c.sound(p)
	return true
}

func (c *cutter) silence(frames []*packetbuf.Packet) {
	for _, p := range frames {
		p.Arrived = c.arrived
		c.sound(p)
	}
}

// standIn is the newest keyframe, which stands in for video that is away while audio goes on.
type standIn struct {
	key   *packetbuf.Packet
	alone bool          // no video has followed it: what follows can refer to the stand-in
	on    bool          // it stands: decoders have forgotten what followed it
	at    time.Duration // where it stands
}

// admit reports whether decoders can take p. Behind a stand-in for video that did not end with
// the keyframe itself, a keyframe is the first that they can.
func (s *standIn) admit(p *packetbuf.Packet) bool {
	switch {
	case p.Track != packetbuf.Video:
		return true
	case s.on && p.DTS <= s.at, s.on && p.Kind != packetbuf.Key && !s.alone:
		return false
	}
	s.on, s.alone = false, p.Kind == packetbuf.Key
	if s.alone {
		s.key = p
	}
	return true
}

// standIn repeats the newest keyframe before the audio packet p, where video has been away.
func (c *cutter) standIn(p *packetbuf.Packet) {
	v, s := &c.in[video], &c.still
	if s.key == nil || !v.any || !v.is.same(c.force[video]) || p.Flags&packetbuf.Filler != 0 && !s.on {
		return
	}
	if !s.on && p.DTS-v.last < max(absence, 3*v.interval) {
		return
	}
	for {
		at := c.force[video].time(v.next).Truncate(time.Millisecond)
		if !s.on {
			at = max(at, v.last+time.Millisecond, p.DTS-longest)
		}
		if at > p.DTS {
			return
		}
		s.on, s.at = true, at
		k := &packetbuf.Packet{
			Track: packetbuf.Video, Codec: s.key.Codec, Kind: packetbuf.Key, Flags: packetbuf.Filler,
			DTS: at, CTO: s.key.CTO, Arrived: p.Arrived, Payload: s.key.Payload,
		}
		c.renew(k)
		c.put(k)
	}
}
