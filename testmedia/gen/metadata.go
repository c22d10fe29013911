package gen

import (
	"encoding/binary"
	"math"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// metadata returns onMetaData as an AMF0 ECMA array of numbers.
func (g *Generator) metadata() *packetbuf.Packet {
	type entry struct {
		name  string
		value float64
	}
	entries := []entry{}
	if !g.o.NoVideo {
		entries = append(entries,
			entry{"width", float64(g.o.Width)}, entry{"height", float64(g.o.Height)},
			entry{"framerate", g.o.FPS}, entry{"videodatarate", float64(g.o.VideoBitrate) / 1000})
	}
	if !g.o.NoAudio {
		entries = append(entries,
			entry{"audiosamplerate", float64(g.o.SampleRate)}, entry{"audiodatarate", float64(g.o.AudioBitrate) / 1000})
	}
	b := []byte{2}
	b = appendName(b, "onMetaData")
	b = append(b, 8)
	b = binary.BigEndian.AppendUint32(b, uint32(len(entries))) //nolint:gosec // six at most
	for _, e := range entries {
		b = append(appendName(b, e.name), 0)
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(e.value))
	}
	return &packetbuf.Packet{
		Track: packetbuf.Data, Codec: packetbuf.AMF0, Kind: packetbuf.Config, Payload: append(b, 0, 0, 9),
	}
}

func appendName(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s))) //nolint:gosec // our own names
	return append(b, s...)
}
