package codec

import "github.com/holdfast-live/holdfast/packetbuf"

var (
	silenceMono   = []byte{0x01, 0x18, 0x20, 0x07}
	silenceStereo = []byte{0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c}

	opusSilenceMono   = []byte{0xf8, 0xff, 0xfe}
	opusSilenceStereo = []byte{0xfc, 0xff, 0xfe}
)

// Silence returns an audio frame that decodes to silence under the configuration cfg. It is to be repeated
// at intervals of AudioFrameDuration. The first repetition still decodes to the tail of the real frame
// before it; from the second on all samples are 0. The frame is shared and must not be changed.
//
// Silence supports AAC-LC with one to eight channels in frames of 1024 samples, and Opus with one or two
// channels. ok is false for other codecs, for channels that a program config element couples, and for
// signalled SBR or PS: a decoder with SBR continues with its last envelope if a frame contains none.
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
	switch elements := frameElements(cfg.Payload, c); {
	case elements == nil:
		return nil, false
	case c.ProgramConfig:
		return writeSilentAAC(elements), true
	case c.Channels == 1:
		return silenceMono, true
	case c.Channels == 2:
		return silenceStereo, true
	default:
		return writeSilentAAC(elements), true
	}
}

// Syntactic elements of AAC (ISO/IEC 14496-3, table 4.85).
const (
	aacSCE = 0 // one channel
	aacCPE = 1 // two
	aacLFE = 3
	aacEND = 7
)

// aacElementsByConfiguration lists the elements of a frame for each channelConfiguration (ISO/IEC 14496-3,
// table 1.19).
var aacElementsByConfiguration = [16][]uint32{
	1:  {aacSCE},
	2:  {aacCPE},
	3:  {aacSCE, aacCPE},
	4:  {aacSCE, aacCPE, aacSCE},
	5:  {aacSCE, aacCPE, aacCPE},
	6:  {aacSCE, aacCPE, aacCPE, aacLFE},
	7:  {aacSCE, aacCPE, aacCPE, aacCPE, aacLFE},
	11: {aacSCE, aacCPE, aacCPE, aacSCE, aacLFE},
	12: {aacSCE, aacCPE, aacCPE, aacCPE, aacLFE},
}

// frameElements returns the elements of a frame under the AudioSpecificConfig record, which was parsed
// into c. It returns nil if they are unknown.
func frameElements(record []byte, c AAC) (elements []aacElement) {
	if c.ProgramConfig {
		return programElements(record)
	}
	var tags [aacEND]uint32
	for _, kind := range aacElementsByConfiguration[aacConfiguration(record)] {
		elements = append(elements, aacElement{kind, tags[kind]})
		tags[kind]++
	}
	return elements
}

// writeSilentAAC returns a raw_data_block with the given elements and without any coefficients.
func writeSilentAAC(elements []aacElement) []byte {
	w := &bitWriter{}
	for _, e := range elements {
		w.u(3, e.id)
		w.u(4, e.tag)
		if e.id == aacCPE {
			w.u(1, 1) // common_window
			writeLongWindow(w)
			w.u(2, 0) // ms_mask_present
			writeNoCoefficients(w)
			writeNoCoefficients(w)
			continue
		}
		const gain = 140
		w.u(8, gain)
		writeLongWindow(w)
		w.u(3, 0) // no pulses, no noise shaping, no gain control
	}
	w.u(3, aacEND)
	return w.out
}

// writeLongWindow writes ics_info for one long window without scale factor bands.
func writeLongWindow(w *bitWriter) { w.u(11, 0) }

// writeNoCoefficients writes an individual_channel_stream with a common window.
func writeNoCoefficients(w *bitWriter) {
	const gain = 140
	w.u(8, gain)
	w.u(3, 0)
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

// opusSilenceSamples is the duration of the frames that opusSilence returns, in samples.
const opusSilenceSamples = 960

// AudioFrameDuration returns the duration of one audio frame, as a number of samples and a rate in Hz.
// Frame n of a run can then be placed at base + n·samples/rate without drift. For AAC, p is the
// configuration; for MP3 and Opus, whose frames contain their duration, p is a frame. If p is an Opus
// configuration, AudioFrameDuration returns the duration of the frame that Silence returns. If the
// duration is unknown, it returns 0, 0.
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
			return opusSilenceSamples, OpusRate
		}
	case p.Codec == packetbuf.Opus:
		if n, err := OpusSamples(p.Payload); err == nil {
			return n, OpusRate
		}
	}
	return 0, 0
}

// NoSilenceReason returns the reason why Silence returns no frame for a configuration. It returns "" if
// Silence returns one.
func NoSilenceReason(cfg *packetbuf.Packet) string {
	if _, ok := Silence(cfg); ok {
		return ""
	}
	switch {
	case cfg == nil || cfg.Kind != packetbuf.Config:
		return "the audio has no configuration"
	case cfg.Codec == packetbuf.Opus:
		return "Opus with more than two channels"
	case cfg.Codec != packetbuf.AAC:
		return cfg.Codec.String() + " audio"
	}
	c, err := ParseAAC(cfg.Payload)
	switch {
	case err != nil:
		return "the AAC configuration cannot be read"
	case c.SBR || c.PS:
		return "HE-AAC"
	case c.ObjectType != AACLC:
		return "AAC of object type " + c.profile()
	case c.FrameSamples != 1024:
		return "AAC with frames of 960 samples"
	case c.ProgramConfig:
		return "AAC with a program config element that couples channels"
	}
	return "AAC without its channels in the configuration"
}
