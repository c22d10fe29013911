package codec

import (
	"errors"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Frame headers written by libavcodec's encoders.
var (
	flacHead = "664c6143000000221200120000046d0005080ac442f0000033ae36567c6137e8d578c431ed191fd85ff50400"
	ac3Heads = []struct {
		head string
		want AC3
	}{
		{"0b77b50b1e40ebf8403e", AC3{SampleRate: 48000, Channels: 6, LFE: true, Samples: 1536}},
		{"0b77952f8c402f842bf1", AC3{SampleRate: 32000, Channels: 1, Samples: 1536}},
		{"0b77037f3f87c00020f8", AC3{Enhanced: true, SampleRate: 48000, Channels: 6, LFE: true, Samples: 1536}},
		{"0b7701a07487c0002084", AC3{Enhanced: true, SampleRate: 44100, Channels: 2, Samples: 1536}},
		{"0b7700ffc480000000ff", AC3{Enhanced: true, SampleRate: 24000, Channels: 2, Samples: 1536}},           // edited: half a rate
		{"0b7700ff1580000000ff", AC3{Enhanced: true, SampleRate: 48000, Channels: 3, LFE: true, Samples: 512}}, // edited: two blocks
	}
)

func TestFLAC(t *testing.T) {
	head := unhex(t, flacHead)
	if f, err := ParseFLAC(head); err != nil || f != (FLAC{SampleRate: 44100, Channels: 2, Depth: 16, Block: 4608}) {
		t.Errorf("got %+v, %v, want 44100 Hz, 2 channels, 16 bits, blocks of 4608", f, err)
	}
	for n := range len(head) - 2 {
		if f, err := ParseFLAC(head[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: got %+v, %v, want ErrMalformed", n, f, err)
		}
	}
	for _, at := range []int{0, 4, 5, 7} {
		bad := unhex(t, flacHead)
		bad[at] ^= 0x41
		if f, err := ParseFLAC(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("byte %d changed: got %+v, %v, want ErrMalformed", at, f, err)
		}
	}
}

func FuzzFLAC(f *testing.F) {
	f.Add(unhex(f, flacHead))
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := ParseFLAC(b); err == nil && (i.SampleRate < 1 || i.Channels < 1 || i.Channels > 8 || i.Depth > 32 || i.Block < 0) {
			t.Fatalf("got %+v, want values in range", i)
		}
	})
}

func TestAC3(t *testing.T) {
	for _, c := range ac3Heads {
		if a, err := ParseAC3(unhex(t, c.head)); err != nil || a != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", c.head, a, err, c.want)
		}
		of, other := packetbuf.AC3, packetbuf.EAC3
		if c.want.Enhanced {
			of, other = other, of
		}
		frame := &packetbuf.Packet{Codec: of, Kind: packetbuf.Delta, Payload: unhex(t, c.head)}
		if i, err := Describe(frame); err != nil || i.SampleRate != c.want.SampleRate || i.Channels != c.want.Channels {
			t.Errorf("%s: got %+v, %v, want %+v", c.head, i, err, c.want)
		}
		frame.Codec = other
		if i, err := Describe(frame); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s as the other format: got %+v, %v, want ErrMalformed", c.head, i, err)
		}
	}
	for _, bad := range []string{"", "0b77b50b1e40eb", "0b76b50b1e40ebf8", "0b77b50bde40ebf8", "0b77b50b1e48ebf8", "0b77b50b1e90ebf8", "0b77037fff87c000"} {
		if a, err := ParseAC3(unhex(t, bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %+v, %v, want ErrMalformed", bad, a, err)
		}
	}
}

func FuzzAC3(f *testing.F) {
	for _, c := range ac3Heads {
		f.Add(unhex(f, c.head))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := ParseAC3(b); err == nil && (a.SampleRate < 16000 || a.Channels < 1 || a.Channels > 6 || a.Samples < 256) {
			t.Fatalf("got %+v, want values in range", a)
		}
	})
}

func TestVPConfig(t *testing.T) {
	want := VPConfig{Profile: 2, Level: 31, BitDepth: 10, Subsampling: 1, FullRange: true}
	record := want.Append(nil)
	for _, b := range [][]byte{record, append([]byte{1, 0, 0, 0}, record...)} {
		if c, err := ParseVPConfig(b); err != nil || c != want {
			t.Errorf("%x: got %+v, %v, want %+v", b, c, err, want)
		}
	}
	if c, err := ParseVPConfig(record[:7]); !errors.Is(err, ErrMalformed) {
		t.Errorf("record cut short: got %+v, %v, want ErrMalformed", c, err)
	}
}

func FuzzVideoKind(f *testing.F) {
	for _, s := range []string{"000000032601ff", "0000000302010a", "12000a0b0000000cc4ff6736be4010320110", "5003009d012a", "824983420014", "86"} {
		for c := packetbuf.H264; c <= packetbuf.VP9; c++ {
			f.Add(uint8(c), unhex(f, s), uint8(packetbuf.Key))
		}
	}
	f.Fuzz(func(t *testing.T, c uint8, b []byte, said uint8) {
		said = 1 + said%3
		kind := VideoKind(packetbuf.Codec(c), b, packetbuf.Kind(said))
		if kind < packetbuf.Key || kind > packetbuf.Disposable {
			t.Fatalf("got %v, want a kind of coded media", kind)
		}
		if packetbuf.Codec(c) != packetbuf.H264 { // for H.264 the container's mark matters
			if again := VideoKind(packetbuf.Codec(c), b, kind); again != kind {
				t.Fatalf("got %s with its own result as the mark, want %s", again, kind)
			}
		}
	})
}
