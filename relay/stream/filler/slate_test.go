package filler

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/testmedia"
)

// A clip may tell its configuration more than once, and more of its channels, and not another one.
func TestSlateTellsItsConfigurationAgain(t *testing.T) {
	channels := []byte("\x94mp4a\x01\x02\x00\x00\x00\x03") // Enhanced RTMP: two, left and right
	for name, config := range map[string]func(*packetbuf.Packet) []byte{
		"once more": flv.Tag,
		"with its channels": func(p *packetbuf.Packet) []byte {
			tag, _ := flv.AppendTag(nil, flv.TypeAudio, p.Millis(), channels)
			return tag
		},
		"another": func(p *packetbuf.Packet) []byte {
			return flv.Tag(&packetbuf.Packet{Track: p.Track, Codec: p.Codec, Kind: p.Kind, Payload: []byte{0x11, 0x88}})
		},
	} {
		file := flv.Header(true, true)
		for _, p := range testmedia.Clip() {
			file = append(file, flv.Tag(p)...)
			if p.Track == packetbuf.Audio && p.Kind == packetbuf.Config {
				file = append(file, config(p)...)
			}
		}
		if _, err := ReadSlate("clip.flv", bytes.NewReader(file)); (err != nil) != (name == "another") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSlateFileIsBad(t *testing.T) {
	good := testmedia.ClipFLV()
	for name, file := range map[string][]byte{
		"empty": nil, "no FLV": []byte("a text that is longer than a header"), "cut": good[:len(good)/2+3], "header alone": good[:13],
		"too long": append(slices.Clone(good), make([]byte, slateMost)...),
	} {
		if _, err := ReadSlate("bad.flv", bytes.NewReader(file)); err == nil || !strings.Contains(err.Error(), "bad.flv") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
