package cmaf

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/audiogap"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// gapSlack is how much longer than the stream itself the cutter waits before it closes a hole in
// the audio.
const gapSlack = 200 * time.Millisecond

// maxStandIn is the maximum duration of missing video that is replaced at once.
const maxStandIn = 10 * time.Second

// audioEarly is the maximum time by which an audio frame may begin before the start of the audio to
// which it belongs.
const audioEarly = 10 * time.Millisecond

// describeSilence returns the description of a silent audio track.
func describeSilence() *description {
	config, _ := codec.AACConfig(48000, 2)
	d, _ := describe(&packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config, Payload: config}, nil)
	return d
}

// startAudio starts the audio that d describes at time at. If d is nil, there is no audio from that
// time on.
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

// fillAudio closes holes in the audio before the video packet p. If no more audio in the format in
// force can follow, it adds silence up to p.
func (c *cutter) fillAudio(p *packetbuf.Packet) {
	if c.inForce[audio] == nil {
		return
	}
	c.addSilence(c.audioGap.Video(p.DTS))
	if !c.tracks[audio].desc.same(c.inForce[audio]) {
		c.addSilence(c.audioGap.Fill(p.DTS))
	}
}

// addAudio adds an audio frame, after silence if needed. It returns false if the frame is too late
// to be added.
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

// standIn is the newest keyframe. It is repeated in place of missing video while audio continues.
type standIn struct {
	key   *packetbuf.Packet
	alone bool          // no video has followed the keyframe, so frames that follow can refer to its repetition
	on    bool          // the keyframe is being repeated; decoders have lost the frames after it
	at    time.Duration // DTS of the newest repetition
}

// admit reports whether decoders can decode p. After the keyframe has been repeated, they cannot
// decode frames from before the last repetition. If other frames had followed the keyframe, they
// need another keyframe.
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

// repeatKeyframe repeats the newest keyframe up to the audio packet p, if video is missing.
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
