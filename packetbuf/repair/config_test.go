package repair_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// Parameter sets that are only in band, at a keyframe of another size, give a configuration before
// it, once. A repeated sequence header does not undo that.
func TestNewParameterSetsInBand(t *testing.T) {
	small, large := encodeH264(t, "160x128", "20", "bframes=0"), encodeH264(t, "320x256", "20", "bframes=0")
	messages := []message{}
	for _, p := range small {
		messages = append(messages, message{packet: p})
	}
	inBand := setsInBand(parameterSets(t, large[0]))
	for range 2 {
		for _, p := range large[1:] {
			messages = append(messages, inBand(t, p)...)
		}
		messages = append(messages, message{packet: small[0]})
	}
	packets, repairs := takeAll(t, messages)
	var widths []int
	for i, p := range packets {
		if p.Kind != packetbuf.Config {
			continue
		}
		info, err := codec.Describe(p)
		if err != nil {
			t.Fatal(err)
		}
		widths = append(widths, info.Width)
		if i == 21 && packets[i+1].Kind != packetbuf.Key {
			t.Errorf("after the configuration: got a %s, want a keyframe", packets[i+1].Kind)
		}
	}
	if want := []int{160, 320, 320, 320}; !slices.Equal(widths, want) || repairs["other_config"] != 1 {
		t.Errorf("got widths %v, want %v; repairs %v", widths, want, repairs)
	}
}

// The same for HEVC, with another PPS.
func TestNewHEVCParameterSetsInBand(t *testing.T) {
	one, other := encodeHEVC(t, ""), encodeHEVC(t, "cbqpoffs=3")
	var messages []message
	for _, p := range one {
		messages = append(messages, message{packet: p})
	}
	inBand := setsInBand(parameterSets(t, other[0]))
	for _, p := range other[1:] {
		messages = append(messages, inBand(t, p)...)
	}
	packets, repairs := takeAll(t, messages)
	var configs []*packetbuf.Packet
	for _, p := range packets {
		if p.Kind == packetbuf.Config {
			configs = append(configs, p)
		}
	}
	if len(configs) != 2 || repairs["other_config"] != 1 || !bytes.Equal(parameterSets(t, configs[1]), parameterSets(t, other[0])) {
		t.Errorf("got %d configurations, repairs %v, want 2 and 1 other_config", len(configs), repairs)
	}
}

// Of a stream without any parameter sets nothing is passed on, and that is counted.
func TestNoParameterSets(t *testing.T) {
	clip := encodeH264(t, "160x128", "41", "bframes=0")
	var messages []message
	for _, p := range clip[1:] {
		messages = append(messages, message{packet: p})
	}
	packets, repairs := takeAll(t, messages)
	if len(packets) != 0 || repairs["no_parameter_sets"] != 3 {
		t.Errorf("got %d packets, repairs %v, want none and 3 no_parameter_sets", len(packets), repairs)
	}
}

// encodeAV1 encodes a few frames as temporal units in FLV's format, beginning with a keyframe.
func encodeAV1(t *testing.T, size string) (packets []*packetbuf.Packet) {
	t.Helper()
	file := ffmpeg(t, "-f", "lavfi", "-i", "testsrc2=r=25:s="+size, "-frames:v", "3",
		"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-f", "ivf", "-")
	const fileHeader, frameHeader = 32, 12
	for b := file[fileHeader:]; len(b) > frameHeader; {
		end := frameHeader + int(binary.LittleEndian.Uint32(b))
		_, unit, err := codec.AV1SequenceHeader(b[frameHeader:end])
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, &packetbuf.Packet{
			Track: packetbuf.Video, Codec: packetbuf.AV1, Kind: codec.VideoKind(packetbuf.AV1, unit, packetbuf.Delta), Payload: unit,
		})
		b = b[end:]
	}
	return packets
}

// AV1's configuration is taken from a keyframe's sequence header if none was sent, or a different one.
func TestAV1SequenceHeaderInBand(t *testing.T) {
	small, large := encodeAV1(t, "160x128"), encodeAV1(t, "320x256")
	var messages []message
	for _, p := range slices.Concat(small, small, large) {
		messages = append(messages, message{packet: p})
	}
	packets, repairs := takeAll(t, messages)
	var widths []int
	for _, p := range packets {
		if p.Kind == packetbuf.Config {
			info, err := codec.Describe(p)
			if err != nil {
				t.Fatal(err)
			}
			widths = append(widths, info.Width)
		}
	}
	if want := []int{160, 320}; !slices.Equal(widths, want) || len(packets) != len(messages)+2 || repairs["no_config"] != 2 {
		t.Errorf("got %d packets, widths %v, want %v; repairs %v", len(packets), widths, want, repairs)
	}
}
