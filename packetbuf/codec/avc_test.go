package codec

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// avcSamples are configurations as x264 writes them.
var avcSamples = []struct {
	name, record        string
	width, height       int
	fps                 float64
	profile, level, rfc string
	refs, reorder, poc  int
	frameMBsOnly, mbaff bool
	chroma, depth       int
}{
	{
		"high 640x360", "0164001effe1001a6764001eacd940a02ff97011000003000100000300320f162d9601000468ef8fcbfdf8f800",
		640, 360, 25, "High", "3", "avc1.64001e", 4, 2, 0, true, false, 1, 8,
	},
	{
		"NTSC rate, cropped", "0164001fffe100196764001facd940d83de6f01100000303e90000ea600f18319601000468ef8fcbfdf8f800",
		854, 480, 30000.0 / 1001, "High", "3.1", "avc1.64001f", 4, 2, 0, true, false, 1, 8,
	},
	{
		"baseline, cropped, POC type 2", "0142c02affe1001a6742c02ad900780227a9b011000003000100000300640f18324801000568cb83cb20",
		1918, 1078, 50, "Constrained Baseline", "4.2", "avc1.42c02a", 3, 0, 2, true, false, 1, 8,
	},
	{
		"interlaced", "0164001effe100186764001eacd940b424d8088000000300800000190f8a14cb01000668fba3cb22c0fdf8f800",
		720, 576, 25, "High", "3", "avc1.64001e", 4, 2, 0, false, true, 1, 8,
	},
	{
		"4:2:2 10 bit", "017a000cffe10019677a000cb6cd94141fb011000003000100000300140f14299601000668ebe3cb22c0fefafa00",
		320, 240, 10, "High 4:2:2", "1.2", "avc1.7a000c", 4, 2, 0, true, false, 2, 10,
	},
	{
		"4:4:4", "01f4000cffe1001967f4000c919b28283f6022000003000200000300281e28532c01000868ebe3c44c000440fff8f800",
		320, 240, 10, "High 4:4:4 Predictive", "1.2", "avc1.f4000c", 4, 2, 0, true, false, 3, 8,
	},
	{
		"HRD, aspect ratio", "01640015ffe1002467640015acd9414107cb8708000003000800000300a301000f420003d09c96500f162d9601000568ebecb22cfdf8f800",
		320, 240, 10, "High", "2.1", "avc1.640015", 4, 2, 0, false, false, 1, 8,
	},
}

func TestAVCConfig(t *testing.T) {
	for _, c := range avcSamples {
		t.Run(c.name, func(t *testing.T) {
			record := unhex(t, c.record)
			cfg, err := ParseAVCConfig(record)
			if err != nil {
				t.Fatal(err)
			}
			if got := cfg.Append(nil); !bytes.Equal(got, record) {
				t.Errorf("written back\ngot  %x\nwant %x", got, record)
			}
			made, err := NewAVCConfig(cfg.SPS, cfg.PPS)
			if err != nil {
				t.Fatal(err)
			}
			if got := made.Append(nil); !bytes.Equal(got, record) && cfg.Profile >= 100 {
				t.Errorf("from the parameter sets\ngot  %x\nwant %x", got, record)
			}
			s, err := ParseSPS(cfg.SPS[0])
			if err != nil {
				t.Fatal(err)
			}
			if again, err := ParseSPS(s.NAL()); err != nil || again != s {
				t.Errorf("written and read\ngot  %+v, %v\nwant %+v", again, err, s)
			}
			if s.Width != c.width || s.Height != c.height || math.Abs(s.FrameRate()-c.fps) > 1e-9 {
				t.Errorf("got %dx%d at %v, want %dx%d at %v", s.Width, s.Height, s.FrameRate(), c.width, c.height, c.fps)
			}
			if s.MaxRefFrames != c.refs || s.NumReorder != c.reorder || s.POCType != c.poc || s.FrameMBsOnly != c.frameMBsOnly || s.MBAFF != c.mbaff {
				t.Errorf("got %+v, want %+v", s, c)
			}
			if s.ChromaFormat != c.chroma || s.BitDepthLuma != c.depth || s.BitDepthChroma != c.depth {
				t.Errorf("got %+v, want chroma format %d, depth %d", s, c.chroma, c.depth)
			}
			i, err := Describe(&packetbuf.Packet{Codec: packetbuf.H264, Payload: record})
			if err != nil {
				t.Fatal(err)
			}
			if i.Profile != c.profile || i.Level != c.level || i.RFC6381 != c.rfc || i.Width != c.width || i.FrameRate != s.FrameRate() {
				t.Errorf("describe: got %+v, want %+v", i, c)
			}
		})
	}
}

func TestSPSCutShort(t *testing.T) {
	for _, c := range avcSamples {
		cfg, err := ParseAVCConfig(unhex(t, c.record))
		if err != nil {
			t.Fatal(err)
		}
		whole, err := ParseSPS(cfg.SPS[0])
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(cfg.SPS[0]) {
			s, err := ParseSPS(cfg.SPS[0][:n])
			if err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("%s, %d bytes: got %v, want ErrMalformed", c.name, n, err)
			}
			if err == nil && (s.Width != whole.Width || s.Height != whole.Height) {
				t.Errorf("%s, %d bytes: got %dx%d, want %dx%d", c.name, n, s.Width, s.Height, whole.Width, whole.Height)
			}
		}
	}
}

func TestAVCConfigMalformed(t *testing.T) {
	for _, s := range []string{
		"", "0164001e", "0264001effe1000267640100026800", "0164001efee1000267640100026800",
		"0164001effe2000267640100026800", "0164001effe1000268640100026800", "0164001effe1ffff67640100026800",
		"0164001effe100026764", "0164001effe100026764010002",
	} {
		if c, err := ParseAVCConfig(unhex(t, s)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %+v, %v, want ErrMalformed", s, c, err)
		}
	}
}

func TestNextNAL(t *testing.T) {
	for size, in := range map[int]string{1: "02aabb0001cc", 2: "0002aabb00000001cc", 4: "00000002aabb0000000000000001cc"} {
		var got []string
		for rest := unhex(t, in); len(rest) > 0; {
			nal, next, err := NextNAL(rest, size)
			if err != nil {
				t.Fatal(err)
			}
			got, rest = append(got, hex.EncodeToString(nal)), next
		}
		if len(got) != 3 || got[0] != "aabb" || got[1] != "" || got[2] != "cc" {
			t.Errorf("length of %d bytes: got %q, want aabb, an empty unit and cc", size, got)
		}
	}
	for size, in := range map[int]string{1: "02aa", 2: "00", 3: "000001aa", 4: "ffffffffaa", 0: "aa"} {
		if _, _, err := NextNAL(unhex(t, in), size); !errors.Is(err, ErrMalformed) {
			t.Errorf("length of %d bytes, %s: got %v, want ErrMalformed", size, in, err)
		}
	}
}

func TestAppendAnnexB(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"6501":                       "",
		"0000016501":                 "000000026501",
		"000000016501":               "000000026501",
		"00000001650000000168aa":     "00000001650000000268aa",
		"0000016500000300000168aa00": "00000004650000030000000268aa",
		"000001000001000001":         "",
	} {
		if got := hex.EncodeToString(AppendAnnexB(nil, unhex(t, in))); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestAVCKindMalformed(t *testing.T) {
	if _, err := AVCKind([]byte{0, 0, 0, 9, 0x65}, 4, true); !errors.Is(err, ErrMalformed) {
		t.Errorf("unit cut short: got %v, want ErrMalformed", err)
	}
	// An empty NAL unit, and an SEI and a slice without content.
	k, err := AVCKind([]byte{0, 0, 0, 0, 0, 0, 0, 1, 6, 0, 0, 0, 1, 0x41}, 4, true)
	if err != nil || k != packetbuf.Delta {
		t.Errorf("empty units: got %v, %v, want %v", k, err, packetbuf.Delta)
	}
	// A recovery point after another, longer message, whose size contains an escape.
	sei := []byte{6, 5, 4, 0, 0, 3, 1, 1, 6, 1, 0x84, 0x80}
	au := AppendNAL(AppendNAL(nil, sei), []byte{0x61, 0x88, 0x80})
	if k, err := AVCKind(au, 4, true); err != nil || k != packetbuf.Key {
		t.Errorf("recovery point: got %v, %v, want %v", k, err, packetbuf.Key)
	}
	if !AVCHas(au, 4, NALSEI) || AVCHas(au, 4, NALIDR) {
		t.Error("AVCHas: want true for SEI, false for IDR")
	}
}

func TestExpGolomb(t *testing.T) {
	values := []uint32{0, 1, 2, 3, 7, 8, 254, 255, 256, 65535, 1<<31 - 2, 1<<31 - 1, 1 << 31, math.MaxUint32 - 1}
	w := &bitWriter{}
	for _, v := range values {
		w.ue(v)
	}
	r := &bitReader{data: w.out}
	for _, v := range values {
		if got := r.ue(); got != v {
			t.Errorf("got %d, want %d", got, v)
		}
	}
	if r.short {
		t.Error("got a short read of whole codes")
	}
	signed := &bitReader{data: []byte{0b1_010_011_0, 0b0100_0010, 0b1_0000000}}
	for _, want := range []int32{0, 1, -1, 2, -2} {
		if got := signed.se(); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
}

func FuzzSPS(f *testing.F) {
	for _, c := range avcSamples {
		cfg, err := ParseAVCConfig(unhex(f, c.record))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(cfg.SPS[0])
	}
	f.Fuzz(func(t *testing.T, nal []byte) {
		s, err := ParseSPS(nal)
		if err != nil {
			return
		}
		if s.Width <= 0 || s.Height <= 0 || s.Width > 16*maxMBs || s.Height > 32*maxMBs {
			t.Fatalf("got %dx%d, want a positive size within the bounds", s.Width, s.Height)
		}
		if again, err := ParseSPS(s.NAL()); err != nil || again != s {
			t.Fatalf("written and read\ngot  %+v, %v\nwant %+v", again, err, s)
		}
		if s.MaxRefFrames > 16 || s.NumReorder > 16 || math.IsNaN(s.FrameRate()) || math.IsInf(s.FrameRate(), 0) {
			t.Fatalf("got %+v, want values in range", s)
		}
	})
}

func FuzzAVCConfig(f *testing.F) {
	for _, c := range avcSamples {
		f.Add(unhex(f, c.record))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		c, err := ParseAVCConfig(record)
		if err != nil {
			return
		}
		again, err := ParseAVCConfig(c.Append(nil))
		if err != nil || !again.Equal(c) {
			t.Fatalf("read again: got %+v, %v\nwant %+v", again, err, c)
		}
		_, _ = Describe(&packetbuf.Packet{Codec: packetbuf.H264, Payload: record})
	})
}

func FuzzAccessUnit(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 0x65, 0x88, 0, 0, 0, 3, 6, 6, 1}, 4, true)
	f.Add([]byte{2, 0x65, 0x88}, 1, false)
	f.Add([]byte{0, 0, 1, 0x65, 0x88, 0, 0, 1, 0x41, 0x9a}, 2, true)
	f.Fuzz(func(t *testing.T, b []byte, lengthSize int, marked bool) {
		_, _ = AVCKind(b, lengthSize, marked)
		au := AppendAnnexB(nil, b)
		if _, err := AVCKind(au, 4, marked); err != nil {
			t.Fatalf("access unit from a byte stream: %v", err)
		}
		if len(au) > 2*len(b) {
			t.Fatalf("got %d bytes from %d, want at most twice as many", len(au), len(b))
		}
	})
}

func BenchmarkAVCKind(b *testing.B) {
	au := AppendNAL(nil, append([]byte{0x41, 0x9a}, make([]byte, 10000)...))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := AVCKind(au, 4, false); err != nil {
			b.Fatal(err)
		}
	}
}
