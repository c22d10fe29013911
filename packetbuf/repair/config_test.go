package repair_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// Parameter sets that come in band alone, at a keyframe of another size, make a configuration in
// front of it, once; a sequence header that is repeated does not undo it.
func TestOtherSetsInBand(t *testing.T) {
	small, large := h264(t, "160x128", "20", "bframes=0"), h264(t, "320x256", "20", "bframes=0")
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
	packets, repairs := send(t, messages)
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
			t.Errorf("a %s follows the configuration, want a keyframe", packets[i+1].Kind)
		}
	}
	if want := []int{160, 320, 320, 320}; !slices.Equal(widths, want) || repairs["other_config"] != 1 {
		t.Errorf("got widths %v, want %v; repairs %v", widths, want, repairs)
	}
}

// The same for HEVC, with another PPS.
func TestOtherSetsOfOtherCodecs(t *testing.T) {
	one, other := hevc(t, ""), hevc(t, "cbqpoffs=3")
	var messages []message
	for _, p := range one {
		messages = append(messages, message{packet: p})
	}
	inBand := setsInBand(parameterSets(t, other[0]))
	for _, p := range other[1:] {
		messages = append(messages, inBand(t, p)...)
	}
	packets, repairs := send(t, messages)
	var configs []*packetbuf.Packet
	for _, p := range packets {
		if p.Kind == packetbuf.Config {
			configs = append(configs, p)
		}
	}
	if len(configs) != 2 || repairs["other_config"] != 1 || !bytes.Equal(parameterSets(t, configs[1]), parameterSets(t, other[0])) {
		t.Errorf("got %d configurations, repairs %v", len(configs), repairs)
	}
}

// Of a stream that nothing says how to decode nothing is passed on, and that is counted.
func TestNothingToDecodeWith(t *testing.T) {
	clip := h264(t, "160x128", "41", "bframes=0")
	var messages []message
	for _, p := range clip[1:] {
		messages = append(messages, message{packet: p})
	}
	packets, repairs := send(t, messages)
	if len(packets) != 0 || repairs["no_parameter_sets"] != 3 {
		t.Errorf("got %d packets, repairs %v", len(packets), repairs)
	}
}

// av1 encodes a few frames: temporal units as FLV has them, the first of which is a keyframe.
func av1(t *testing.T, size string) (packets []*packetbuf.Packet) {
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

// AV1's configuration is made from a keyframe's sequence header where none came, or another.
func TestAV1SequenceHeaderInBand(t *testing.T) {
	small, large := av1(t, "160x128"), av1(t, "320x256")
	var messages []message
	for _, p := range slices.Concat(small, small, large) {
		messages = append(messages, message{packet: p})
	}
	packets, repairs := send(t, messages)
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
