package codec_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// Configurations with a program config element, as ffmpeg's encoder writes them for layouts without
// a channelConfiguration, have a channel count and a silent frame.
func TestProgramConfigElement(t *testing.T) {
	for layout, c := range map[string]struct {
		config   string
		channels int
	}{
		"5.1(side)": {"118004c844002000c40d4c61766335392e33372e31303056e500", 6},
		"6.1":       {"118004c848002000c4400d4c61766335392e33372e31303056e500", 7},
		"quad":      {"118004c4040021100d4c61766335392e33372e31303056e500", 4},
		"hexagonal": {"118004c808002008840d4c61766335392e33372e31303056e500", 6},
		"7.1(wide)": {"118004c848002000c6400d4c61766335392e33372e31303056e500", 8},
		"2.1":       {"118004c4010020000d4c61766335392e33372e31303056e500", 3},
		"3.1":       {"118004c8010020000d4c61766335392e33372e31303056e500", 4},
	} {
		t.Run(layout, func(t *testing.T) {
			record, err := hex.DecodeString(c.config)
			if err != nil {
				t.Fatal(err)
			}
			config := &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config, Payload: record}
			info, err := codec.Describe(config)
			if err != nil || info.Channels != c.channels {
				t.Errorf("got %d channels (%v), want %d", info.Channels, err, c.channels)
			}
			silent, ok := codec.Silence(config)
			if !ok {
				t.Fatal("got no silent frame")
			}
			decodesToSilence(t, config, silent, c.channels)
		})
	}
}

// A program config element that is cut short leaves the configuration readable.
func TestProgramConfigElementCutShort(t *testing.T) {
	for n := range 8 {
		record := []byte{0x11, 0x80, 0x04, 0xc8, 0x44, 0x00, 0x20, 0x00}[:n]
		p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config, Payload: record}
		if _, ok := codec.Silence(p); ok {
			t.Errorf("%x: got a silent frame, want none", record)
		}
	}
}

func decodesToSilence(t *testing.T, config *packetbuf.Packet, silent []byte, channels int) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		if os.Getenv("CI") == "true" { // nothing may be skipped there
			t.Fatal("needs ffmpeg")
		}
		t.Skip("needs ffmpeg")
	}
	const frames = 20
	stream := append(flv.Header(false, true), flv.Tag(config)...)
	for i := range frames {
		stream = append(stream, flv.Tag(&packetbuf.Packet{
			Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Key, DTS: time.Duration(i) * 1024 * time.Second / 48000, Payload: silent,
		})...)
	}
	pcm := runFFmpeg(t, stream, "-v", "error", "-f", "flv", "-i", "-", "-f", "s16le", "-") // without -v it warns about guessed layouts
	if len(pcm) != frames*1024*channels*2 || len(bytes.Trim(pcm, "\x00")) != 0 {
		t.Errorf("got %d bytes of samples, %d of them not 0, want %d zeros", len(pcm), len(bytes.Trim(pcm, "\x00")), frames*1024*channels*2)
	}
}

func TestNoSilenceReason(t *testing.T) {
	for want, record := range map[string][]byte{
		"":       {0x11, 0x90},
		"HE-AAC": {0x2b, 0x11, 0x88, 0x00},
		"AAC without its channels in the configuration": {0x11, 0x80},
	} {
		p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config, Payload: record}
		if got := codec.NoSilenceReason(p); got != want {
			t.Errorf("%x: got %q, want %q", record, got, want)
		}
	}
}
