package gen

import (
	"encoding/binary"
	"math"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

func (o Options) frameSamples() int {
	switch o.AudioCodec {
	case packetbuf.Opus:
		return o.SampleRate / 50
	case packetbuf.MP3:
		if o.SampleRate < 32000 {
			return 576
		}
		return 1152
	}
	return 1024
}

func (g *Generator) audioConfig() *packetbuf.Packet {
	p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: g.o.AudioCodec, Kind: packetbuf.Config}
	switch g.o.AudioCodec {
	case packetbuf.Opus:
		p.Payload = append(p.Payload, "OpusHead\x01"...)
		p.Payload = append(p.Payload, byte(g.o.Channels), 0x38, 0x01)                   // pre-skip of 312 samples
		p.Payload = binary.LittleEndian.AppendUint32(p.Payload, uint32(g.o.SampleRate)) //nolint:gosec // positive
		p.Payload = append(p.Payload, 0, 0, 0)                                          // gain, mapping family
	default:
		p.Payload = codec.AAC{
			ObjectType: codec.AACLC, SampleRate: g.o.SampleRate, Channels: g.o.Channels, FrameSamples: 1024,
		}.Append(nil)
	}
	return p
}

func (g *Generator) nextAudio() *packetbuf.Packet {
	p := &packetbuf.Packet{
		Track: packetbuf.Audio, Codec: g.o.AudioCodec, Kind: packetbuf.Delta,
		DTS: g.wrap(g.o.Start + g.audioTime(g.audioFrame)), Payload: g.audioPayload(g.audioFrame),
	}
	if g.o.NoVideo {
		p.Kind = packetbuf.Key
	}
	g.audioFrame++
	return p
}

func (g *Generator) audioPayload(n int) []byte {
	size := float64(g.o.AudioBitrate) / 8 * float64(g.o.frameSamples()) / float64(g.o.SampleRate)
	b := g.audioHeader()
	b = appendID(b, ID{Track: packetbuf.Audio, Source: g.o.Source, Number: uint64(n)}) //nolint:gosec // counts up
	whole := max(int(size*(0.9+0.2*g.rng.Float64())), len(b)+sumSize)
	return appendSum(g.appendPadding(b, whole-sumSize))
}

// audioHeader returns the first bytes of a frame of the codec, which describe it.
func (g *Generator) audioHeader() []byte {
	stereo := g.o.Channels > 1
	switch g.o.AudioCodec {
	case packetbuf.MP3:
		return mp3Header(g.o.SampleRate, stereo)
	case packetbuf.Opus:
		if stereo {
			return []byte{0xfc} // CELT, full band, one frame of 20 ms
		}
		return []byte{0xf8}
	}
	if stereo {
		return []byte{0x21} // channel pair element
	}
	return []byte{0x01} // single channel element
}

// mp3Header returns a layer III header with 128 kb/s, or 64 kb/s for the lower sample rates.
func mp3Header(rate int, stereo bool) []byte {
	h := []byte{0xff, 0xfb, 0x90, 0xc0} // MPEG-1
	base := rate
	switch {
	case rate < 16000:
		h[1], h[2], base = 0xe3, 0x80, 4*rate // MPEG-2.5
	case rate < 32000:
		h[1], h[2], base = 0xf3, 0x80, 2*rate // MPEG-2
	}
	for code, known := range []int{44100, 48000, 32000} {
		if math.Abs(float64(base-known)) < 100 {
			h[2] |= byte(code << 2)
		}
	}
	if stereo {
		h[3] = 0
	}
	return h
}
