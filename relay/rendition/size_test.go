package rendition

import (
	"errors"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

func TestPicturesThatAreTooLargeAreRefused(t *testing.T) {
	for _, c := range []struct {
		name                  string
		width, height         int // in macroblocks
		shownWidth, shownHigh int
		want                  error
	}{
		{"1080p", 120, 68, 1920, 1080, nil},
		{"4K", 240, 135, 3840, 2160, nil},
		{"4K on end", 135, 240, 2160, 3840, nil},
		{"a hundred million pixels", 625, 625, 10000, 10000, errTooLarge},
		{"the same, nearly all cropped", 625, 625, 320, 240, errTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			sps := codec.SPS{
				Profile: 66, Level: 52, WidthMBs: c.width, HeightMapUnits: c.height, FrameMBsOnly: true,
				Width: c.shownWidth, Height: c.shownHigh, MaxRefFrames: 1, ChromaFormat: 1,
			}
			config, err := codec.NewAVCConfig([][]byte{sps.NAL()}, [][]byte{{0x68, 0xce, 0x38, 0x80}})
			if err != nil {
				t.Fatal(err)
			}
			p := &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Config, Payload: config.Append(nil)}
			if err := checkSize(p); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}
