package flv

import (
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// A padding tag has the declared length and decodes to nothing; a publisher's own cue point does
// not.
func TestPadding(t *testing.T) {
	for _, units := range []int{1, 2, maxPaddingUnits - 1, maxPaddingUnits, 3*maxPaddingUnits + 2} {
		length := 0
		for _, tag := range AppendPadding(nil, units) {
			length += len(tag)
			body := tag[tagHeaderSize : len(tag)-prevTagSize]
			if p, err := Decode(packetbuf.Data, body); p != nil || err != nil {
				t.Errorf("padding: got %+v, %v, want nothing", p, err)
			}
			own := append([]byte{}, body...)
			own[len(own)-1] = 1
			if p, err := Decode(packetbuf.Data, own); p == nil || err != nil {
				t.Errorf("cue point with other bytes: got %+v, %v, want a packet", p, err)
			}
		}
		if want := units * packetbuf.PaddingUnit; length != want {
			t.Errorf("%d units: got %d bytes, want %d", units, length, want)
		}
	}
}
