package codec

import (
	"fmt"
	"strconv"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Info describes the format of a track, for users and for onMetaData. A value is zero if the
// configuration does not contain it.
type Info struct {
	Codec   packetbuf.Codec
	Profile string // such as "High" or "LC"
	Level   string // such as "3.1"
	RFC6381 string // such as "avc1.64001f"; empty if unknown

	Width, Height int     // pixels, cropped
	FrameRate     float64 // frames per second

	SampleRate int // of the decoded audio, in Hz
	Channels   int // of the decoded audio
}

// Describe returns the format that a Config packet describes. For MP3, AC-3 and E-AC-3, which have no
// configuration, p is a frame. The error wraps ErrMalformed.
func Describe(p *packetbuf.Packet) (Info, error) {
	switch {
	case p.Codec == packetbuf.MP3 && p.Kind != packetbuf.Config:
		return describeMP3(p.Payload)
	case (p.Codec == packetbuf.AC3 || p.Codec == packetbuf.EAC3) && p.Kind != packetbuf.Config:
		return describeAC3(p)
	case p.Kind != packetbuf.Config:
		return Info{}, malformedf("describe %s: a %s packet is no configuration", p.Codec, p.Kind)
	}
	switch p.Codec {
	case packetbuf.H264:
		return describeAVC(p.Payload)
	case packetbuf.HEVC:
		c, err := ParseHEVCConfig(p.Payload)
		if err != nil {
			return Info{}, err
		}
		width, height := hevcSize(p.Payload)
		return Info{
			Width: width, Height: height,
			Codec: p.Codec, Level: strconv.FormatFloat(float64(c.Level)/30, 'f', -1, 64), RFC6381: c.RFC6381(),
		}, nil
	case packetbuf.AV1:
		c, err := ParseAV1Config(p.Payload)
		if err != nil {
			return Info{}, err
		}
		width, height := av1Size(p.Payload)
		return Info{
			Width: width, Height: height,
			Codec: p.Codec, Level: fmt.Sprintf("%d.%d", 2+c.Level>>2, c.Level&3), RFC6381: c.RFC6381(),
		}, nil
	case packetbuf.AAC:
		return describeAAC(p.Payload)
	case packetbuf.Opus:
		return describeOpus(p.Payload)
	case packetbuf.FLAC:
		f, err := ParseFLAC(p.Payload)
		if err != nil {
			return Info{}, err
		}
		return Info{Codec: p.Codec, RFC6381: fixedCodecStrings[p.Codec], SampleRate: f.SampleRate, Channels: f.Channels}, nil
	case packetbuf.VP8, packetbuf.VP9:
		if _, err := ParseVPConfig(p.Payload); err != nil {
			return Info{}, err
		}
	}
	return Info{Codec: p.Codec, RFC6381: fixedCodecStrings[p.Codec]}, nil
}

// fixedCodecStrings are the codec strings that do not depend on the configuration.
var fixedCodecStrings = map[packetbuf.Codec]string{
	packetbuf.VP8: "vp8", packetbuf.VP9: "vp9", packetbuf.FLAC: "fLaC",
	packetbuf.AC3: "ac-3", packetbuf.EAC3: "ec-3",
}

func describeAVC(record []byte) (Info, error) {
	c, err := ParseAVCConfig(record)
	if err != nil {
		return Info{}, err
	}
	i := Info{
		Codec:   packetbuf.H264,
		Profile: avcProfile(c.Profile, c.Compatibility),
		Level:   avcLevel(c.Profile, c.Compatibility, c.Level),
		RFC6381: c.RFC6381(),
	}
	if len(c.SPS) == 0 {
		return i, nil
	}
	s, err := ParseSPS(c.SPS[0])
	if err != nil {
		return Info{}, err
	}
	i.Width, i.Height, i.FrameRate = s.Width, s.Height, s.FrameRate()
	return i, nil
}

// RFC6381 returns the codec string, such as avc1.64001f.
func (c AVCConfig) RFC6381() string {
	return fmt.Sprintf("avc1.%02x%02x%02x", c.Profile, c.Compatibility, c.Level)
}

const (
	constraintSet1 = 1 << 6
	constraintSet3 = 1 << 4
)

func avcProfile(profile, constraints byte) string {
	intra := ""
	if constraints&constraintSet3 != 0 {
		intra = " Intra"
	}
	switch profile {
	case 66:
		if constraints&constraintSet1 != 0 {
			return "Constrained Baseline"
		}
		return "Baseline"
	case 77:
		return "Main"
	case 88:
		return "Extended"
	case 100:
		return "High"
	case 110:
		return "High 10" + intra
	case 122:
		return "High 4:2:2" + intra
	case 244:
		return "High 4:4:4 Predictive" + intra
	case 44:
		return "CAVLC 4:4:4 Intra"
	}
	return strconv.Itoa(int(profile))
}

// avcLevel returns the name of an H.264 level. Level 1b is coded as 9, or in the Baseline, Main and
// Extended profiles as 11 with a constraint flag.
func avcLevel(profile, constraints, level byte) string {
	old := profile == 66 || profile == 77 || profile == 88
	if level == 9 || level == 11 && old && constraints&constraintSet3 != 0 {
		return "1b"
	}
	if level%10 == 0 {
		return strconv.Itoa(int(level / 10))
	}
	return fmt.Sprintf("%d.%d", level/10, level%10)
}

func describeAAC(b []byte) (Info, error) {
	c, err := ParseAAC(b)
	if err != nil {
		return Info{}, err
	}
	return Info{
		Codec: packetbuf.AAC, Profile: c.profile(), RFC6381: c.RFC6381(),
		SampleRate: c.OutputRate(), Channels: c.OutputChannels(),
	}, nil
}

func (c AAC) profile() string {
	switch {
	case c.PS:
		return "HE-AACv2"
	case c.SBR:
		return "HE-AAC"
	}
	switch c.ObjectType {
	case AACMain:
		return "Main"
	case AACLC:
		return "LC"
	case aacSSR:
		return "SSR"
	case aacLTP:
		return "LTP"
	}
	return strconv.Itoa(c.ObjectType)
}

// RFC6381 returns the codec string, such as mp4a.40.2.
func (c AAC) RFC6381() string {
	t := c.ObjectType
	switch {
	case c.PS:
		t = aacPS
	case c.SBR:
		t = aacSBR
	}
	return fmt.Sprintf("mp4a.40.%d", t)
}

func describeMP3(frame []byte) (Info, error) {
	m, err := ParseMP3(frame)
	if err != nil {
		return Info{}, err
	}
	// Layers I to III are MPEG-4 audio object types 32 to 34.
	return Info{
		Codec: packetbuf.MP3, Profile: "Layer " + "III"[:m.Layer], RFC6381: fmt.Sprintf("mp4a.40.%d", 31+m.Layer),
		SampleRate: m.SampleRate, Channels: m.Channels,
	}, nil
}

func describeAC3(p *packetbuf.Packet) (Info, error) {
	a, err := ParseAC3(p.Payload)
	switch {
	case err != nil:
		return Info{}, err
	case a.Enhanced != (p.Codec == packetbuf.EAC3):
		return Info{}, malformedf("%s frame: of the other format", p.Codec)
	}
	return Info{Codec: p.Codec, RFC6381: fixedCodecStrings[p.Codec], SampleRate: a.SampleRate, Channels: a.Channels}, nil
}

func describeOpus(b []byte) (Info, error) {
	h, err := ParseOpusHead(b)
	if err != nil {
		return Info{}, err
	}
	return Info{Codec: packetbuf.Opus, RFC6381: "opus", SampleRate: OpusRate, Channels: h.Channels}, nil
}
