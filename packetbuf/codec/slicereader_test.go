package codec_test

import (
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// nalUnit returns a NAL unit with a header and the bits that follow it, in zeros and ones.
func nalUnit(header byte, bits ...string) []byte {
	nal := []byte{header}
	n := 0
	for _, s := range bits {
		for _, b := range s {
			if n%8 == 0 {
				nal = append(nal, 0)
			}
			if b == '1' {
				nal[len(nal)-1] |= 0x80 >> (n % 8)
			}
			n++
		}
	}
	return append(nal, 0x80, 0x55, 0x55)
}

// newInterlacedReader returns a reader of slices that may belong to fields. frame_num and the picture order
// count have four bits.
func newInterlacedReader() *codec.SliceReader {
	sps := codec.SPS{
		Profile: 77, Level: 31, ChromaFormat: 1, BitDepthLuma: 8, BitDepthChroma: 8, Log2MaxFrameNum: 4, Log2MaxPOCLSB: 4,
		MaxRefFrames: 1, WidthMBs: 10, HeightMapUnits: 4, Direct8x8: true, Width: 160, Height: 128, NumReorder: -1,
	}
	var p codec.SliceReader
	p.AddParameterSet(packetbuf.H264, sps.NAL())
	p.AddParameterSet(packetbuf.H264, []byte{0x68, 0xce, 0x38, 0x80})
	return &p
}

// A reader distinguishes slices of one picture from those of the next, and fields of one frame from
// fields of two (ITU-T H.264, 7.4.1.2.4).
func TestSliceReader(t *testing.T) {
	const (
		reference, unused = 2<<5 | codec.NALSlice, codec.NALSlice
		first, other      = "1", "010" // first_mb_in_slice 0 and 1
		p                 = "00110" + "1"
		frame             = "0"
		top, bottom       = "10", "11"
	)
	slice := func(header byte, bits ...string) codec.Slice {
		return newInterlacedReader().Read(packetbuf.H264, nalUnit(header, bits...))
	}
	one := slice(reference, first, p, "0001", frame, "0010", "0", "0", "0")
	for name, c := range map[string]struct {
		slice            codec.Slice
		first, differs   bool
		field, isSecond  bool
		comparedToFields bool
	}{
		"another slice":            {slice: slice(reference, other, p, "0001", frame, "0010", "0", "0", "0")},
		"the next frame_num":       {slice: slice(reference, first, p, "0010", frame, "0100", "0", "0", "0"), first: true, differs: true},
		"another order count":      {slice: slice(reference, other, p, "0001", frame, "0100", "0", "0", "0"), differs: true},
		"a disposable picture":     {slice: slice(unused, other, p, "0001", frame, "0010"), differs: true},
		"the other field":          {slice: slice(reference, first, p, "0001", bottom, "0011", "0", "0", "0"), first: true, differs: true, field: true, isSecond: true, comparedToFields: true},
		"the next frame's field":   {slice: slice(reference, first, p, "0010", bottom, "0101", "0", "0", "0"), first: true, differs: true, field: true, comparedToFields: true},
		"a field's other slice":    {slice: slice(reference, other, p, "0001", top, "0010", "0", "0", "0"), field: true, comparedToFields: true},
		"one that cannot be read":  {slice: newInterlacedReader().Read(packetbuf.H264, []byte{reference}), first: true},
		"a partition of its slice": {slice: newInterlacedReader().Read(packetbuf.H264, nalUnit(2<<5|codec.NALPartB, "1"))},
	} {
		t.Run(name, func(t *testing.T) {
			before := one
			if c.comparedToFields {
				before = slice(reference, first, p, "0001", top, "0010", "0", "0", "0")
			}
			if c.slice.First != c.first || c.slice.Differs(before) != c.differs || c.slice.Field != c.field || c.slice.SecondFieldOf(before) != c.isSecond {
				t.Errorf("got first %t, differs %t, field %t, second field %t, want %t, %t, %t, %t", c.slice.First, c.slice.Differs(before),
					c.slice.Field, c.slice.SecondFieldOf(before), c.first, c.differs, c.field, c.isSecond)
			}
		})
	}
}
