package gen

import (
	"encoding/binary"
	"math"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// pps is a picture parameter set with all ids 0, CAVLC and one reference.
var pps = []byte{0x68, 0xce, 0x38, 0x80}

func (g *Generator) videoConfig() *packetbuf.Packet {
	level := byte(31)
	if g.o.Width*g.o.Height > 1280*720 {
		level = 51
	}
	sps := codec.SPS{
		Profile: 77, Level: level, ChromaFormat: 1, BitDepthLuma: 8, BitDepthChroma: 8,
		Log2MaxFrameNum: 8, POCType: 0, Log2MaxPOCLSB: 8, MaxRefFrames: 2,
		WidthMBs: (g.o.Width + 15) / 16, HeightMapUnits: (g.o.Height + 15) / 16,
		FrameMBsOnly: true, Direct8x8: true, Width: g.o.Width, Height: g.o.Height,
		UnitsInTick: 1000, TimeScale: uint32(math.Round(2000 * g.o.FPS)), FixedFrameRate: g.o.Interval == nil,
		NumReorder: min(1, g.o.BFrames),
	}
	record, err := codec.NewAVCConfig([][]byte{sps.NAL()}, [][]byte{pps})
	if err != nil {
		panic("gen: size or rate that no SPS can say: " + err.Error())
	}
	return &packetbuf.Packet{
		Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Config, Payload: record.Append(nil),
	}
}

// place is where a picture stands in its GOP.
type place struct {
	kind    packetbuf.Kind
	display int // number in output order
}

// placeOf derives it from the number in decoding order: a keyframe, then groups of a
// reference and the disposable pictures that are shown before it. GOPs are closed.
func (g *Generator) placeOf(n int) place {
	inGOP := n % g.o.GOP
	first := n - inGOP
	if inGOP == 0 {
		return place{packetbuf.Key, n}
	}
	group := 1 + g.o.BFrames
	inGroup := (inGOP - 1) % group
	if inGroup > 0 {
		return place{packetbuf.Disposable, n - 1}
	}
	// The last group of a GOP may be cut off.
	last := min(inGOP+g.o.BFrames, g.o.GOP-1)
	return place{packetbuf.Delta, first + last}
}

func (g *Generator) nextPicture() *packetbuf.Packet {
	n := g.picture
	at := g.placeOf(n)
	p := &packetbuf.Packet{
		Track: packetbuf.Video, Codec: packetbuf.H264, Kind: at.kind,
		DTS: g.fold(g.o.Start + g.pictureTime(n)), Payload: g.pictureBytes(n, at.kind),
	}
	if g.o.BFrames > 0 {
		// One picture of reordering: what is shown at once is shown a picture later.
		p.CTO = g.pictureTime(at.display+1) - g.pictureTime(n)
	}
	g.picture++
	return p
}

// pictureBytes is an access unit of one slice NAL unit.
func (g *Generator) pictureBytes(n int, kind packetbuf.Kind) []byte {
	// The first bits of a slice are first_mb_in_slice 0, the slice type and the PPS's id 0.
	var header [2]byte
	switch kind {
	case packetbuf.Key:
		header = [2]byte{3<<5 | codec.NALIDR, 0b1_0001000} // 7: all slices are I
	case packetbuf.Disposable:
		header = [2]byte{codec.NALSlice, 0b1_00111_1_1} // 6: all slices are B
	default:
		header = [2]byte{2<<5 | codec.NALSlice, 0b1_00110_1_1} // 5: all slices are P
	}
	size := max(g.pictureSize(kind), 4+len(header)+1+idSize+sumSize)
	b := make([]byte, 0, size)
	b = binary.BigEndian.AppendUint32(b, uint32(size-4)) //nolint:gosec // a picture's size
	b = append(b, header[0], header[1], 0x88)
	b = appendID(b, ID{Track: packetbuf.Video, Source: g.o.Source, Number: uint64(n)}) //nolint:gosec // counts up
	return appendSum(g.appendNoise(b, size-sumSize))
}

// pictureSize shares out a GOP's bytes: a keyframe has eight times as many as a reference,
// a disposable picture half as many, give or take a fifth.
func (g *Generator) pictureSize(kind packetbuf.Kind) int {
	groups := float64(g.o.GOP-1) / float64(1+g.o.BFrames)
	shares := 8 + groups*(1+0.5*float64(g.o.BFrames))
	perShare := float64(g.o.VideoBitrate) / 8 * float64(g.o.GOP) / g.o.FPS / shares
	weight := 1.0
	switch kind {
	case packetbuf.Key:
		weight = 8
	case packetbuf.Disposable:
		weight = 0.5
	}
	return int(perShare * weight * (0.8 + 0.4*g.rng.Float64()))
}

// appendNoise fills up to size bytes with noise that has no zero in it.
func (g *Generator) appendNoise(b []byte, size int) []byte {
	const noZeros = 0x0101010101010101
	for len(b) < size {
		b = binary.LittleEndian.AppendUint64(b, g.rng.Uint64()|noZeros)
	}
	return b[:max(size, 0)]
}
