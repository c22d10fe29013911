package codec

import "github.com/holdfast-live/holdfast/packetbuf"

var (
	silenceMono   = []byte{0x01, 0x18, 0x20, 0x07}
	silenceStereo = []byte{0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c}

	opusSilenceMono   = []byte{0xf8, 0xff, 0xfe}
	opusSilenceStereo = []byte{0xfc, 0xff, 0xfe}
)

// Silence is an audio frame that decodes to silence under the configuration cfg, to be
// repeated at the spacing of AudioFrameDuration. The first one still carries the tail of
// the real frame before it; from the second on all samples are 0. The frame is shared and
// must not be changed.
//
// It is there for AAC-LC at 44.1 and 48 kHz with one or two channels and frames of 1024
// samples, and for Opus with one or two channels. With SBR or PS signalled, another rate, more
// channels or another codec ok is false.
func Silence(cfg *packetbuf.Packet) (frame []byte, ok bool) {
	switch {
	case cfg == nil || cfg.Kind != packetbuf.Config:
		return nil, false
	case cfg.Codec == packetbuf.Opus:
		return opusSilence(cfg)
	case cfg.Codec != packetbuf.AAC:
		return nil, false
	}
	c, err := ParseAAC(cfg.Payload)
	if err != nil || c.ObjectType != AACLC || c.SBR || c.PS || c.FrameSamples != 1024 {
		return nil, false
	}
	if c.SampleRate != 44100 && c.SampleRate != 48000 {
		return nil, false
	}
	switch c.Channels {
	case 1:
		return silenceMono, true
	case 2:
		return silenceStereo, true
	}
	return nil, false
}

func opusSilence(cfg *packetbuf.Packet) (frame []byte, ok bool) {
	h, err := ParseOpusHead(cfg.Payload)
	if err != nil || h.Family != 0 {
		return nil, false
	}
	if h.Channels == 1 {
		return opusSilenceMono, true
	}
	return opusSilenceStereo, true
}

// opusSilent is the length of the frames that opusSilence gives, in samples.
const opusSilent = 960

// AudioFrameDuration is the length of one audio frame as samples at a rate in Hz, so that
// frame n of a run can be placed at base + n·samples/rate without drift. For AAC p is the
// configuration; for MP3 and Opus, whose frames describe themselves, a frame. For the
// configuration of Opus, whose frames need not be alike, it is the length of what Silence
// gives. Without an answer it is 0, 0.
func AudioFrameDuration(p *packetbuf.Packet) (samples, rate int) {
	if p == nil {
		return 0, 0
	}
	switch {
	case p.Codec == packetbuf.AAC && p.Kind == packetbuf.Config:
		if c, err := ParseAAC(p.Payload); err == nil {
			return c.SamplesPerFrame(), c.OutputRate()
		}
	case p.Codec == packetbuf.MP3 && p.Kind != packetbuf.Config:
		if m, err := ParseMP3(p.Payload); err == nil {
			return m.Samples, m.SampleRate
		}
	case p.Codec == packetbuf.Opus && p.Kind == packetbuf.Config:
		if _, ok := opusSilence(p); ok {
			return opusSilent, OpusRate
		}
	case p.Codec == packetbuf.Opus:
		if n, err := OpusSamples(p.Payload); err == nil {
			return n, OpusRate
		}
	}
	return 0, 0
}
