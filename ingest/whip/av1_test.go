package whip

import (
	"bytes"
	"testing"

	"github.com/pion/rtp/codecs"
)

// beginsSized reports whether a payload ends with a fragment that begins an OBU with a size field. Pion
// compares that size with the last fragment's alone.
func beginsSized(payload []byte) bool {
	rest := payload[1:]
	for i := 1; ; i++ {
		element, next, err := av1Element(rest, i == int(payload[0]>>4&3))
		switch {
		case err != nil || len(element) == 0:
			return false
		case len(next) == 0:
			return element[0]&0x02 != 0
		}
		rest = next
	}
}

// FuzzAV1Depacketizer compares the depacketizer with pion's over consecutive packets, each a byte of
// length and a payload.
func FuzzAV1Depacketizer(f *testing.F) {
	f.Add([]byte{5, 0x10, 0x32, 1, 2, 3})
	f.Add([]byte{3, 0x58, 0x30, 1, 3, 0xd0, 2, 3, 4, 0x90, 4, 5, 6})
	f.Add([]byte{8, 0x28, 2, 0x0a, 1, 0x32, 7, 8, 9})
	f.Add([]byte{7, 0x40, 2, 0x30, 1, 2, 0x34, 8, 5, 0x80, 1, 9, 1, 0x10})
	f.Fuzz(func(t *testing.T, b []byte) {
		var got av1Depacketizer
		var want codecs.AV1Depacketizer
		for len(b) > 1 {
			n := min(int(b[0]), len(b)-1)
			payload := b[1 : 1+n]
			b = b[1+n:]
			g, gerr := got.Unmarshal(payload)
			w, werr := want.Unmarshal(payload)
			if gerr != nil || werr != nil {
				return // the assembler discards what follows a malformed packet
			}
			if payload[0]&0x40 != 0 && beginsSized(payload) {
				return
			}
			if !bytes.Equal(g, w) {
				t.Fatalf("% x: got % x, want % x", payload, g, w)
			}
		}
	})
}
