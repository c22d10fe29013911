package codec_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// unitCases returns access units in all variants of framing.
func unitCases() map[string]struct {
	au     []byte
	want   [][]byte
	faults codec.UnitFaults
} {
	sei, idr := []byte{0x06, 0x05, 0x01, 0x80}, append([]byte{0x65, 0x88}, bytes.Repeat([]byte{0xab}, 300)...)
	both := [][]byte{sei, idr}
	code := []byte{0, 0, 0, 1}
	return map[string]struct {
		au     []byte
		want   [][]byte
		faults codec.UnitFaults
	}{
		"lengths":                  {codec.JoinUnits(both), both, 0},
		"start codes":              {bytes.Join([][]byte{nil, sei, idr}, code), both, codec.UnitsAnnexB},
		"short start codes":        {bytes.Join([][]byte{nil, sei, idr}, code[1:]), both, codec.UnitsAnnexB},
		"a length, then codes":     {bytes.Join([][]byte{codec.AppendNAL(nil, sei), idr}, code), both, codec.UnitsAnnexB},
		"both under one length":    {codec.AppendNAL(nil, bytes.Join(both, code)), both, codec.UnitsStartCode},
		"a code behind the length": {codec.AppendNAL(codec.AppendNAL(nil, sei), append(bytes.Clone(code), idr...)), both, codec.UnitsStartCode},
		"an empty unit":            {codec.JoinUnits([][]byte{sei, nil, idr}), both, codec.UnitsEmpty},
		"a unit cut short":         {codec.JoinUnits(both)[:100], both[:1], codec.UnitsCut},
		"nothing":                  {nil, nil, 0},
	}
}

func TestReadUnits(t *testing.T) {
	for name, c := range unitCases() {
		got, faults := codec.ReadUnits(nil, packetbuf.H264, c.au, 4)
		if faults != c.faults || len(got) != len(c.want) {
			t.Errorf("%s: got %d units and faults %b, want %d and %b", name, len(got), faults, len(c.want), c.faults)
			continue
		}
		for i := range got {
			if !bytes.Equal(got[i], c.want[i]) {
				t.Errorf("%s: unit %d: got %x, want %x", name, i, got[i], c.want[i])
			}
		}
	}
}

// FuzzReadUnits checks that the units lie within the access unit, and that the units of an access
// unit without a fault are all of it.
func FuzzReadUnits(f *testing.F) {
	for _, c := range unitCases() {
		f.Add(c.au, uint8(4), true)
	}
	f.Add([]byte{0, 2, 0x65, 0x88}, uint8(2), false)
	f.Fuzz(func(t *testing.T, au []byte, length uint8, avc bool) {
		c := packetbuf.HEVC
		if avc {
			c = packetbuf.H264
		}
		if length != 1 && length != 2 {
			length = 4
		}
		units, faults := codec.ReadUnits(nil, c, au, int(length))
		total := 0
		for _, nal := range units {
			if total += len(nal); len(nal) == 0 {
				t.Fatal("got an empty unit")
			}
		}
		if total > len(au) {
			t.Fatalf("got %d bytes from %d", total, len(au))
		}
		if faults == 0 && length == 4 && !bytes.Equal(codec.JoinUnits(units), au) {
			t.Fatalf("got %x from %x without a fault, want the same bytes", codec.JoinUnits(units), au)
		}
	})
}

// A start code and the first byte of the unit after it, read as a length, may match the size of
// the rest.
func TestReadUnitsAfterAmbiguousStartCode(t *testing.T) {
	first := append([]byte{0x65, 0x88}, bytes.Repeat([]byte{0x11}, 500)...)
	for _, second := range []byte{0x02, 0x9a, 0x40, 0xe0} {
		// The first unit is followed by 0x141 bytes, which begin with 0x41.
		other := append([]byte{0x41, second}, bytes.Repeat([]byte{0x11}, 0x140)...)
		for _, last := range [][]byte{nil, {0x41, 0x03, 0x11, 0x11}} {
			au := append(append(codec.AppendNAL(nil, first), 0, 0, 1), other...)
			want := [][]byte{first, other}
			if last != nil {
				au, want = append(append(au, 0, 0, 1), last...), append(want, last)
			}
			got, faults := codec.ReadUnits(nil, packetbuf.H264, au, 4)
			if !slices.EqualFunc(got, want, bytes.Equal) || faults&codec.UnitsAnnexB == 0 {
				t.Errorf("second byte %#x, %d units: got %d units of %v bytes, want %v", second, len(want), len(got), lengthsOf(got), lengthsOf(want))
			}
		}
	}
}

func lengthsOf(units [][]byte) (out []int) {
	for _, u := range units {
		out = append(out, len(u))
	}
	return out
}
