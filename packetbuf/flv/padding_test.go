package flv

import (
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// A tag of padding has the length that it stands for, and decodes to nothing; a cue point of a
// publisher's own does not.
func TestPadding(t *testing.T) {
	for _, units := range []int{1, 2, maxPaddingUnits - 1, maxPaddingUnits, 3*maxPaddingUnits + 2} {
		length := 0
		for _, tag := range AppendPadding(nil, units) {
			length += len(tag)
			body := tag[tagHeader : len(tag)-prevTagSize]
			if p, err := Decode(packetbuf.Data, body); p != nil || err != nil {
				t.Errorf("padding decodes to %+v, %v", p, err)
			}
			own := append([]byte{}, body...)
			own[len(own)-1] = 1
			if p, err := Decode(packetbuf.Data, own); p == nil || err != nil {
				t.Errorf("a cue point with other bytes decodes to %+v, %v", p, err)
			}
		}
		if want := units * packetbuf.PaddingUnit; length != want {
			t.Errorf("%d units take %d bytes, want %d", units, length, want)
		}
	}
}
