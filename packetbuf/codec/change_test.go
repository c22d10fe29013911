package codec

import (
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// withSize returns the record with another size and level, and otherwise unchanged.
func withSize(t *testing.T, record []byte, width, height int, level byte) []byte {
	t.Helper()
	c, err := ParseAVCConfig(record)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSPS(c.SPS[0])
	if err != nil {
		t.Fatal(err)
	}
	s.WidthMBs, s.HeightMapUnits, s.FrameMBsOnly = width/16, height/16, true
	s.Width, s.Height, s.Level = width, height, level
	made, err := NewAVCConfig([][]byte{s.NAL()}, c.PPS)
	if err != nil {
		t.Fatal(err)
	}
	return made.Append(nil)
}

func TestDescribeChange(t *testing.T) {
	avc := unhex(t, avcSamples[0].record)
	small, large := withSize(t, avc, 640, 352, 30), withSize(t, avc, 1920, 1088, 40)
	otherPPS, err := ParseAVCConfig(small)
	if err != nil {
		t.Fatal(err)
	}
	otherPPS.PPS = append(otherPPS.PPS, []byte{0x68, 0x42})
	opus := append([]byte("OpusHead\x01\x02"), make([]byte, 9)...)
	info, err := Describe(&packetbuf.Packet{Codec: packetbuf.H264, Payload: small})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		was, is packetbuf.Codec
		a, b    []byte
		want    string
	}{
		"size and level": {packetbuf.H264, packetbuf.H264, small, large, "size 640x352 to 1920x1088, level 3 to 4"},
		"parameters that are not read": {
			packetbuf.H264, packetbuf.H264, small, otherPPS.Append(nil), "new parameters, same " + info.String(),
		},
		"sample rate":       {packetbuf.AAC, packetbuf.AAC, unhex(t, "1210"), unhex(t, "1190"), "sample rate 44100 Hz to 48000 Hz"},
		"channels":          {packetbuf.AAC, packetbuf.AAC, unhex(t, "1210"), unhex(t, "1208"), "channels 2 to 1"},
		"codec":             {packetbuf.AAC, packetbuf.Opus, unhex(t, "1210"), opus, "AAC to Opus, sample rate 44100 Hz to 48000 Hz"},
		"unreadable before": {packetbuf.AAC, packetbuf.AAC, []byte{1}, unhex(t, "1210"), "profile unknown to LC, sample rate unknown to 44100 Hz, channels unknown to 2"},
	} {
		was := &packetbuf.Packet{Codec: c.was, Kind: packetbuf.Config, Payload: c.a}
		is := &packetbuf.Packet{Codec: c.is, Kind: packetbuf.Config, Payload: c.b}
		if got := DescribeChange(was, is); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestInfoString(t *testing.T) {
	for want, i := range map[string]Info{
		"H.264 High 3.1, 1280x720, 29.97 fps": {Codec: packetbuf.H264, Profile: "High", Level: "3.1", Width: 1280, Height: 720, FrameRate: 30000. / 1001},
		"AAC LC, 2 channels, 44100 Hz":        {Codec: packetbuf.AAC, Profile: "LC", Channels: 2, SampleRate: 44100},
		"VP9":                                 {Codec: packetbuf.VP9},
	} {
		if got := i.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
