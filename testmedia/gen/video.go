package gen

import (
	"encoding/binary"
	"math"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// pps is a picture parameter set with all IDs 0, CAVLC and one reference frame.
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

// position is the position of a frame in its GOP.
type position struct {
	kind    packetbuf.Kind
	display int // number in output order
}

// positionOf returns the position of frame n in decoding order. A GOP consists of a keyframe, then groups
// of a reference frame and the disposable frames that are shown before it. GOPs are closed.
func (g *Generator) positionOf(n int) position {
	inGOP := n % g.o.GOP
	first := n - inGOP
	if inGOP == 0 {
		return position{packetbuf.Key, n}
	}
	group := 1 + g.o.BFrames
	inGroup := (inGOP - 1) % group
	if inGroup > 0 {
		return position{packetbuf.Disposable, n - 1}
	}
	// The GOP may end within the last group.
	last := min(inGOP+g.o.BFrames, g.o.GOP-1)
	return position{packetbuf.Delta, first + last}
}

func (g *Generator) nextVideo() *packetbuf.Packet {
	n := g.frame
	at := g.positionOf(n)
	p := &packetbuf.Packet{
		Track: packetbuf.Video, Codec: packetbuf.H264, Kind: at.kind,
		DTS: g.wrap(g.o.Start + g.videoTime(n)), Payload: g.videoPayload(n, at.kind),
	}
	if g.o.BFrames > 0 {
		// Reordering delays output by one frame.
		p.CTO = g.videoTime(at.display+1) - g.videoTime(n)
	}
	g.frame++
	return p
}

// videoPayload returns an access unit of one slice NAL unit.
func (g *Generator) videoPayload(n int, kind packetbuf.Kind) []byte {
	// A slice begins with first_mb_in_slice 0, the slice type and PPS ID 0.
	var header [2]byte
	switch kind {
	case packetbuf.Key:
		header = [2]byte{3<<5 | codec.NALIDR, 0b1_0001000} // 7: all slices are I
	case packetbuf.Disposable:
		header = [2]byte{codec.NALSlice, 0b1_00111_1_1} // 6: all slices are B
	default:
		header = [2]byte{2<<5 | codec.NALSlice, 0b1_00110_1_1} // 5: all slices are P
	}
	size := max(g.frameSize(kind), 4+len(header)+1+idSize+sumSize)
	b := make([]byte, 0, size)
	b = binary.BigEndian.AppendUint32(b, uint32(size-4)) //nolint:gosec // size of a frame
	b = append(b, header[0], header[1], 0x88)
	b = appendID(b, ID{Track: packetbuf.Video, Source: g.o.Source, Number: uint64(n)}) //nolint:gosec // counts up
	return appendSum(g.appendPadding(b, size-sumSize))
}

// frameSize returns the size of a frame in bytes. A keyframe has eight times the size of a reference frame
// and a disposable frame half of it, plus or minus 20 %.
func (g *Generator) frameSize(kind packetbuf.Kind) int {
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

// appendPadding appends random bytes without zeros, up to size bytes.
func (g *Generator) appendPadding(b []byte, size int) []byte {
	const noZeros = 0x0101010101010101
	for len(b) < size {
		b = binary.LittleEndian.AppendUint64(b, g.rng.Uint64()|noZeros)
	}
	return b[:max(size, 0)]
}
