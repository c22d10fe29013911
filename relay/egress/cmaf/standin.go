package cmaf

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/audiogap"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// gapSlack is how much longer than the stream itself the cutter waits to close a hole in the
// audio.
const gapSlack = 200 * time.Millisecond

// maxStandIn is the maximum duration of video that is replaced at once.
const maxStandIn = 10 * time.Second

// audioEarly is how long before the start of its audio a frame may begin.
const audioEarly = 10 * time.Millisecond

// describeSilence returns the description of a silent audio track.
func describeSilence() *description {
	config, _ := codec.AACConfig(48000, 2)
	d, _ := describe(&packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config, Payload: config}, nil)
	return d
}

// startAudio starts the audio that d describes at the time at; nil means no audio from there
// on.
func (c *cutter) startAudio(d *description, at time.Duration) {
	c.audioGap = audiogap.Track{Slack: gapSlack}
	c.tracks[audio].counting = false
	if c.info != nil {
		c.audioSince = at - audioEarly
	}
	if d == nil {
		return
	}
	if !selfDescribed(d.codec) {
		c.audioGap.Configure(&packetbuf.Packet{Track: packetbuf.Audio, Codec: d.codec, Kind: packetbuf.Config, Payload: d.record})
	}
	c.audioGap.Begin(at)
}

// fillAudio closes holes in the audio before the video packet p. If it is known that no audio in
// the format in force follows, it adds silence up to p.
func (c *cutter) fillAudio(p *packetbuf.Packet) {
	if c.inForce[audio] == nil {
		return
	}
	c.addSilence(c.audioGap.Video(p.DTS))
	if !c.tracks[audio].desc.same(c.inForce[audio]) {
		c.addSilence(c.audioGap.Fill(p.DTS))
	}
}

// addAudio adds an audio frame, and silence before it if needed. It returns false if the frame
// is too late.
func (c *cutter) addAudio(p *packetbuf.Packet) bool {
	if p.DTS < c.audioSince || c.audioGap.Late(p.DTS) {
		return false
	}
	c.addSilence(c.audioGap.Audio(p))
	c.queueAudio(p)
	return true
}

func (c *cutter) addSilence(frames []*packetbuf.Packet) {
	for _, p := range frames {
		p.Arrived = c.lastArrived
		c.queueAudio(p)
	}
}

// standIn is the newest keyframe, repeated in place of video that is away while audio
// continues.
type standIn struct {
	key   *packetbuf.Packet
	alone bool          // no video has followed the keyframe: frames that do can refer to the stand-in
	on    bool          // a stand-in is shown: decoders have lost the frames after the keyframe
	at    time.Duration // DTS of the newest stand-in
}

// admit reports whether decoders can decode p. After a stand-in for video that did not end with
// the keyframe itself, they need another keyframe.
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

// repeatKeyframe repeats the newest keyframe before the audio packet p, if video is away.
func (c *cutter) repeatKeyframe(p *packetbuf.Packet) {
	v, s := &c.tracks[video], &c.standIn
	if s.key == nil || !v.started || !v.desc.same(c.inForce[video]) || p.Flags&packetbuf.Filler != 0 && !s.on {
		return
	}
	if !s.on && p.DTS-v.lastDTS < max(absentAfter, 3*v.interval) {
		return
	}
	for {
		at := c.inForce[video].time(v.nextTime).Truncate(time.Millisecond)
		if !s.on {
			at = max(at, v.lastDTS+time.Millisecond, p.DTS-maxStandIn)
		}
		if at > p.DTS {
			return
		}
		s.on, s.at = true, at
		k := &packetbuf.Packet{
			Track: packetbuf.Video, Codec: s.key.Codec, Kind: packetbuf.Key, Flags: packetbuf.Filler,
			DTS: at, CTO: s.key.CTO, Arrived: p.Arrived, Payload: s.key.Payload,
		}
		c.updateInit(k)
		c.addSample(k)
	}
}
