package repair_test

import (
	"bytes"
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
	if want := []int{160, 320, 320, 320}; !equal(widths, want) || repairs["other_config"] != 1 {
		t.Errorf("got widths %v, want %v; repairs %v", widths, want, repairs)
	}
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
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
