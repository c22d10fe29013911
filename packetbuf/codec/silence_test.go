package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/ogg"
)

// Each arrangement of channels in a configuration has its own order of elements. With a wrong order
// a decoder warns, or outputs fewer channels.
func TestSilenceOfEachArrangement(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("needs ffmpeg")
	}
	for configuration, channels := range map[byte]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8} {
		t.Run(fmt.Sprint(configuration), func(t *testing.T) {
			const lc, at48k = 2, 3
			p := &packetbuf.Packet{
				Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config, Payload: []byte{lc<<3 | at48k>>1, at48k&1<<7 | configuration<<3},
			}
			silent, ok := codec.Silence(p)
			if !ok {
				t.Fatal("got no silent frame")
			}
			decodesToSilence(t, p, silent, channels)
		})
	}
}

// Silence after an Opus tone is silent except for the tone's tail, without a click.
func TestOpusSilenceDecodesToSilence(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("needs ffmpeg")
	}
	for _, channels := range []int{1, 2} {
		t.Run(fmt.Sprint(channels, " channels"), func(t *testing.T) {
			tone := runFFmpeg(t, nil, "-f", "lavfi", "-i", "sine=r=48000", "-t", "0.3", "-ac", fmt.Sprint(channels), "-c:a", "libopus", "-b:a", "64k", "-f", "ogg", "-")
			var stream []byte
			var w *ogg.Writer
			put := func(packet []byte) {
				var err error
				if stream, err = w.Append(stream, packet); err != nil {
					t.Fatal(err)
				}
			}
			for r := ogg.NewReader(bytes.NewReader(tone)); ; {
				packet, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if w == nil {
					w = ogg.NewWriter(r.Head())
				}
				put(packet)
			}
			head := codec.OpusHead{Channels: channels}
			silent, ok := codec.Silence(&packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.Opus, Kind: packetbuf.Config, Payload: head.Append(nil)})
			if !ok {
				t.Fatal("got no silent frame")
			}
			const frames = 20
			for range frames {
				put(silent)
			}
			pcm := runFFmpeg(t, stream, "-f", "ogg", "-i", "-", "-f", "s16le", "-")
			const click = 104 // -50 dB of full scale
			for i := len(pcm) - 2*channels*960*(frames-2); i < len(pcm); i += 2 {
				if v := int16(binary.LittleEndian.Uint16(pcm[i:])); v > click || v < -click { //nolint:gosec // two's complement
					t.Fatalf("got a sample of %d, want at most %d", v, click)
				}
			}
		})
	}
}
