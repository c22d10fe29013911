package codec_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// plainConfig returns a configuration without an encoder's output: a Freezer reads only headers.
func plainConfig(change func(*codec.SPS), pps []byte) codec.AVCConfig {
	s := codec.SPS{
		Profile: 100, Level: 30, ChromaFormat: 1, BitDepthLuma: 8, BitDepthChroma: 8, Log2MaxFrameNum: 4, POCType: 2,
		MaxRefFrames: 2, WidthMBs: 4, HeightMapUnits: 4, FrameMBsOnly: true, Direct8x8: true, Width: 64, Height: 64, NumReorder: -1,
	}
	if change != nil {
		change(&s)
	}
	return codec.AVCConfig{Profile: 100, Level: 30, LengthSize: 4, SPS: [][]byte{s.NAL()}, PPS: [][]byte{pps}}
}

// twoSets returns plain's configuration with a larger SPS of id 1 and a second PPS.
func twoSets(pps []byte) codec.AVCConfig {
	c := plainConfig(nil, onePPS)
	far := plainConfig(func(s *codec.SPS) {
		s.ID, s.WidthMBs, s.HeightMapUnits, s.Width, s.Height = 1, 1000, 1000, 16000, 16000
	}, pps)
	c.SPS, c.PPS = append(c.SPS, far.SPS...), append(c.PPS, pps)
	return c
}

// The sets and slices below have one PPS with CAVLC, one reference and deblocking control, written
// field by field.
var (
	onePPS = nalFromBits(0x68, "1 1 0 0 1 1 1 0 00 1 1 1 1 0 0 1")
	// The same for the second PPS of twoSets: with the first SPS, with the second, with two slice groups.
	otherPPS = nalFromBits(0x68, "010 1 0 0 1 1 1 0 00 1 1 1 1 0 0 1")
	farPPS   = nalFromBits(0x68, "010 010 0 0 1 1 1 0 00 1 1 1 1 0 0 1")
	otherFMO = nalFromBits(0x68, "010 1 0 0 010 1 1 1 1")
	idrOther = nalFromBits(0x65, "010 0001000 010 0000 1 0 0 1 1 1")

	fmoPPS  = nalFromBits(0x68, "1 1 0 0 010 1 1 1 1")
	idrRef  = nalFromBits(0x65, "1 0001000 1 0000 1 0 0 1 1 1")
	longIDR = nalFromBits(0x65, "1 0001000 1 0000 1 0 1 1 1 1")
	refP    = nalFromBits(0x41, "1 00110 1 0001 0 0 0 1 1 1")
	otherP  = nalFromBits(0x41, "1 00110 1 0011 0 0 0 1 1 1")
	nonRefP = nalFromBits(0x01, "1 00110 1 0001 0 0 1 1 1")
	partA   = nalFromBits(0x42, "1 00110 1 0001 1 0 0 0 1 1 1")
)

// nalFromBits returns a NAL unit of a header byte and a string of bits.
func nalFromBits(header byte, fields string) []byte {
	fields = strings.ReplaceAll(fields, " ", "")
	out := make([]byte, 1+(len(fields)+7)/8)
	out[0] = header
	for i, b := range fields {
		if b == '1' {
			out[1+i/8] |= 0x80 >> (i % 8)
		}
	}
	return out
}

func accessUnit(nals ...[]byte) (au []byte) {
	for _, n := range nals {
		au = codec.AppendNAL(au, n)
	}
	return au
}

func TestFreezerReady(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config codec.AVCConfig
		units  [][]byte
		ready  bool
	}{
		{"one picture", plainConfig(nil, onePPS), [][]byte{accessUnit(idrRef)}, true},
		{"two pictures", plainConfig(nil, onePPS), [][]byte{accessUnit(idrRef), accessUnit(refP)}, true},
		{"no picture", plainConfig(nil, onePPS), nil, false},
		{"missing pictures", plainConfig(nil, onePPS), [][]byte{accessUnit(idrRef), accessUnit(otherP)}, false},
		{"missing pictures before an IDR", plainConfig(nil, onePPS), [][]byte{accessUnit(idrRef), accessUnit(otherP), accessUnit(idrRef)}, true},
		{"a last picture that is not a reference", plainConfig(nil, onePPS), [][]byte{accessUnit(idrRef), accessUnit(nonRefP)}, false},
		{"flexible macroblock order", plainConfig(nil, fmoPPS), [][]byte{accessUnit(idrRef)}, false},
		{"data partitions", plainConfig(nil, onePPS), [][]byte{accessUnit(idrRef), accessUnit(partA)}, false},
		{"a long-term reference", plainConfig(nil, onePPS), [][]byte{accessUnit(longIDR)}, false},
		{"order of type 1", plainConfig(func(s *codec.SPS) { s.POCType = 1 }, onePPS), [][]byte{accessUnit(idrRef)}, false},
		{"separate planes", plainConfig(func(s *codec.SPS) { s.Profile, s.ChromaFormat, s.SeparatePlanes = 244, 3, true }, onePPS), [][]byte{accessUnit(idrRef)}, false},
		{"a picture beyond all levels", plainConfig(func(s *codec.SPS) { s.WidthMBs, s.HeightMapUnits, s.Width, s.Height = 1000, 1000, 16000, 16000 }, onePPS), [][]byte{accessUnit(idrRef)}, false},
		{"a further slice with another PPS", twoSets(otherPPS), [][]byte{accessUnit(idrRef, idrOther)}, true},
		{"a further slice with another SPS", twoSets(farPPS), [][]byte{accessUnit(idrRef, idrOther)}, false},
		{"a further slice with flexible macroblock order", twoSets(otherFMO), [][]byte{accessUnit(idrRef, idrOther)}, false},
		{"no references", plainConfig(func(s *codec.SPS) { s.MaxRefFrames = 0 }, onePPS), [][]byte{accessUnit(idrRef)}, false},
		{"a cut unit", plainConfig(nil, onePPS), [][]byte{accessUnit(idrRef), {0, 0, 0, 9, 1}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := codec.NewFreezer(tt.config)
			for _, au := range tt.units {
				f.Follow(au)
			}
			err := f.Ready()
			if (err == nil) != tt.ready || (f.Next() != nil) != tt.ready {
				t.Errorf("ready: got %v", err)
			}
			if err != nil && !errors.Is(err, codec.ErrNoFreeze) && !errors.Is(err, codec.ErrMalformed) {
				t.Errorf("got %v, which wraps neither error", err)
			}
		})
	}
}

// largeNumbers changes an SPS to numbers as OpenH264 uses them, which repeat after 32,768 pictures.
func largeNumbers(s *codec.SPS) { s.POCType, s.Log2MaxFrameNum, s.Log2MaxPOCLSB = 0, 15, 16 }

var largeIDR = nalFromBits(0x65, "1 0001000 1 000000000000000 1 0000000000000000 0 0 1 1 1")

// Freeze frames can be followed like the stream's own pictures: a Freezer that has seen all of them
// makes the same next one, and so does one that has seen only those from Way.
func TestFreezeFramesCanBeFollowed(t *testing.T) {
	for name, tt := range map[string]struct {
		config codec.AVCConfig
		units  [][]byte
		most   int // the most pictures that Way returns
	}{
		"numbers that repeat early": {plainConfig(nil, onePPS), [][]byte{accessUnit(idrRef), accessUnit(refP)}, 16},
		"numbers that repeat late":  {plainConfig(largeNumbers, onePPS), [][]byte{accessUnit(largeIDR)}, 257},
	} {
		t.Run(name, func(t *testing.T) {
			follow := func() *codec.Freezer {
				f := codec.NewFreezer(tt.config)
				for _, au := range tt.units {
					f.Follow(au)
				}
				return f
			}
			f, saw := follow(), follow()
			longest := 0
			for n := range 3000 {
				way := f.Way()
				next := f.Next()
				if n%37 != 0 && n%256 > 1 || n%256 == 255 { // except the last of a round, which is marked as such
					saw.Follow(next)
					continue
				}
				joined := follow()
				for _, au := range way {
					joined.Follow(au)
				}
				if a, b := saw.Next(), joined.Next(); !slices.Equal(next, a) || !slices.Equal(next, b) {
					t.Fatalf("picture %d: got % x after all, % x after Way, want % x", n, a, b, next)
				}
				saw.Follow(next)
				longest = max(longest, len(way))
			}
			if longest > tt.most || longest < tt.most/2 {
				t.Errorf("got %d pictures from Way, want at most %d", longest, tt.most)
			}
		})
	}
}

// A Freezer survives any bytes, and its output can be parsed.
func FuzzFreezer(f *testing.F) {
	f.Add(plainConfig(nil, onePPS).Append(nil), accessUnit(idrRef), accessUnit(refP))
	f.Add(plainConfig(nil, fmoPPS).Append(nil), accessUnit(longIDR), accessUnit(nonRefP))
	f.Add(plainConfig(func(s *codec.SPS) { s.POCType, s.Log2MaxPOCLSB = 0, 6 }, onePPS).Append(nil), accessUnit(idrRef, refP), accessUnit(partA))
	f.Fuzz(func(t *testing.T, config, a, b []byte) {
		c, err := codec.ParseAVCConfig(config)
		if err != nil {
			return
		}
		f := codec.NewFreezer(c)
		f.Follow(a)
		f.Follow(b)
		err = f.Ready()
		au := f.Next()
		if (au == nil) != (err != nil) {
			t.Fatalf("ready: got %v, with an access unit of %d bytes", err, len(au))
		}
		if au != nil && (int(binary.BigEndian.Uint32(au)) != len(au)-4 || !codec.AVCHasSlice(au)) {
			t.Fatalf("got % x, want an access unit that can be read", au)
		}
	})
}

func BenchmarkFreezerFollow(b *testing.B) {
	f := codec.NewFreezer(plainConfig(nil, onePPS))
	key := accessUnit(idrRef)
	b.ReportAllocs()
	for b.Loop() {
		f.Follow(key)
	}
}
