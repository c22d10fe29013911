package codec

// AAC is an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).
type AAC struct {
	// ObjectType is the audio object type of the core coder: 2 for AAC-LC, also with SBR and PS.
	ObjectType int
	SampleRate int // sample rate of the core coder in Hz
	Channels   int // 0 if only the frames contain the number
	// ProgramConfig is true if a program config element describes the channels, instead of a
	// channelConfiguration.
	ProgramConfig bool
	// SBR and PS are true if spectral band replication and parametric stereo are signalled, explicitly
	// or in the backward compatible way. A stream may also use them without signalling.
	SBR, PS bool
	// ExtensionRate is the output rate in Hz; 0 without SBR.
	ExtensionRate int
	// FrameSamples is the number of samples per channel of a frame at the core's rate: 1024 or 960.
	FrameSamples int
}

// Audio object types.
const (
	AACMain   = 1
	AACLC     = 2
	aacSSR    = 3
	aacLTP    = 4
	aacSBR    = 5
	aacScal   = 6
	aacPS     = 29
	aacEscape = 31
)

var aacRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// aacChannels is indexed by channelConfiguration.
var aacChannels = [...]int{0, 1, 2, 3, 4, 5, 6, 8}

// ParseAAC reads an AudioSpecificConfig. For object types other than the general audio coder it reads
// only up to the channels, and sets FrameSamples to 1024.
func ParseAAC(b []byte) (AAC, error) {
	c, _, err := parseAAC(b)
	return c, err
}

// programElements returns the elements listed by the program config element of an AudioSpecificConfig.
// It returns nil if the AudioSpecificConfig contains no such element or if that element couples channels.
func programElements(b []byte) []aacElement {
	_, elements, _ := parseAAC(b)
	return elements
}

func parseAAC(b []byte) (_ AAC, program []aacElement, _ error) {
	r := &bitReader{data: b}
	c := AAC{FrameSamples: 1024}
	c.ObjectType = readObjectType(r)
	c.SampleRate = readRate(r)
	channels := int(r.u(4))
	if c.ObjectType == aacSBR || c.ObjectType == aacPS {
		c.SBR, c.PS = true, c.ObjectType == aacPS
		c.ExtensionRate = readRate(r)
		c.ObjectType = readObjectType(r)
	}
	if r.short || c.ObjectType == 0 || c.SampleRate == 0 || c.SBR && c.ExtensionRate == 0 {
		return AAC{}, nil, malformed("AudioSpecificConfig: cut short or without a rate")
	}
	switch {
	case channels < len(aacChannels):
		c.Channels = aacChannels[channels]
	case channels == 11:
		c.Channels = 7
	case channels == 12, channels == 14:
		c.Channels = 8
	default:
		return AAC{}, nil, malformedf("AudioSpecificConfig: channel configuration %d", channels)
	}
	if c.ObjectType > aacScal {
		return c, program, nil
	}
	if r.flag() { // frameLengthFlag
		c.FrameSamples = 960
	}
	if r.flag() { // dependsOnCoreCoder
		r.u(14)
	}
	r.u(1) // extensionFlag
	if r.short {
		return AAC{}, nil, malformed("AudioSpecificConfig: cut short")
	}
	if channels == 0 && c.ObjectType != aacScal {
		program = c.readProgram(r)
	}
	if channels != 0 && c.ObjectType != aacScal && !c.SBR {
		c.readSyncExtension(r)
	}
	return c, program, nil
}

// readProgram reads a program config element and returns the elements that it lists. If it is cut short,
// the number of channels stays unknown.
func (c *AAC) readProgram(r *bitReader) []aacElement {
	r.u(4) // element_instance_tag
	elements, channels, plain := readProgram(r)
	if r.short {
		return nil
	}
	if c.Channels, c.ProgramConfig = channels, true; !plain {
		return nil
	}
	return elements
}

// aacConfiguration returns the channelConfiguration of an AudioSpecificConfig that ParseAAC
// accepts; 0 means a program config element.
func aacConfiguration(b []byte) uint32 {
	r := &bitReader{data: b}
	readObjectType(r)
	readRate(r)
	return r.u(4)
}

// readSyncExtension reads the backward compatible signalling of SBR and PS, if present.
func (c *AAC) readSyncExtension(r *bitReader) {
	const sbrSync, psSync = 0x2b7, 0x548
	if r.u(11) != sbrSync || readObjectType(r) != aacSBR || !r.flag() {
		return
	}
	rate := readRate(r)
	if r.short || rate == 0 {
		return
	}
	c.SBR, c.ExtensionRate = true, rate
	if r.u(11) == psSync && r.flag() && !r.short {
		c.PS = true
	}
}

func readObjectType(r *bitReader) int {
	t := int(r.u(5))
	if t == aacEscape {
		t = 32 + int(r.u(6))
	}
	return t
}

func readRate(r *bitReader) int {
	i := int(r.u(4))
	if i < len(aacRates) {
		return aacRates[i]
	}
	if i == 15 {
		return int(r.u(24))
	}
	return 0
}

// OutputRate returns the sample rate after decoding in Hz.
func (c AAC) OutputRate() int {
	if c.SBR {
		return c.ExtensionRate
	}
	return c.SampleRate
}

// OutputChannels returns the number of channels after decoding. Parametric stereo decodes one
// channel to two.
func (c AAC) OutputChannels() int {
	if c.PS && c.Channels == 1 {
		return 2
	}
	return c.Channels
}

// SamplesPerFrame returns the number of samples per channel of a frame at OutputRate: 1024 or 960, or
// twice as many if SBR doubles the rate.
func (c AAC) SamplesPerFrame() int {
	if c.SBR && c.ExtensionRate == 2*c.SampleRate {
		return 2 * c.FrameSamples
	}
	return c.FrameSamples
}

// Append appends the AudioSpecificConfig to dst. It signals SBR and PS explicitly. The configuration must
// be one of the general audio coder (object types 1 to 4) without a program config element, and its
// Channels one that ParseAAC can return.
func (c AAC) Append(dst []byte) []byte {
	w := &bitWriter{}
	switch {
	case c.PS:
		w.u(5, aacPS)
	case c.SBR:
		w.u(5, aacSBR)
	default:
		w.u(5, uint32(c.ObjectType)) //nolint:gosec // a small number
	}
	writeRate(w, c.SampleRate)
	w.u(4, channelConfiguration(c.Channels))
	if c.SBR || c.PS {
		writeRate(w, c.ExtensionRate)
		w.u(5, uint32(c.ObjectType)) //nolint:gosec // a small number
	}
	if c.FrameSamples == 960 {
		w.u(1, 1)
	} else {
		w.u(1, 0)
	}
	w.u(2, 0)
	return append(dst, w.out...)
}

func writeRate(w *bitWriter, rate int) {
	for i, known := range aacRates {
		if known == rate {
			w.u(4, uint32(i)) //nolint:gosec // a small number
			return
		}
	}
	w.u(4, 15)
	w.u(24, uint32(rate)) //nolint:gosec // 24 bits are written
}

func channelConfiguration(channels int) uint32 {
	switch {
	case channels == 8:
		return 7
	case channels == 7:
		return 11
	case channels >= 0 && channels < 7:
		return uint32(channels) //nolint:gosec // a small number
	}
	return 0
}
