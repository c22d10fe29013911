package flv

import (
	"bytes"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// maxPaddingUnits is the size of the longer of the two padding messages, in units of
	// packetbuf.PaddingUnit. The shorter one has one unit.
	maxPaddingUnits = 16
	// paddingValues is the size of the message's name and value in bytes.
	paddingValues = 14
)

// paddingBody is a data message named onCuePoint with the value null, followed by zeros. Players
// ignore messages whose name they do not know. libavformat opens a data stream for them, except for
// onCuePoint at timestamp 0, which it drops silently.
var paddingBody = append(
	[]byte{amfString, 0, 10, 'o', 'n', 'C', 'u', 'e', 'P', 'o', 'i', 'n', 't', amfNull},
	make([]byte, maxPaddingUnits*packetbuf.PaddingUnit-tagHeaderSize-prevTagSize-paddingValues)...)

// PaddingBody returns the body of a data message that players ignore, and the size of its tag in units
// of packetbuf.PaddingUnit. The size is the largest available that does not exceed units, but at least
// one. The message must be sent with timestamp 0. The caller must not change the body. Decode drops such
// messages.
func PaddingBody(units int) (body []byte, made int) {
	if made = 1; units >= maxPaddingUnits {
		made = maxPaddingUnits
	}
	return paddingBody[:made*packetbuf.PaddingUnit-tagHeaderSize-prevTagSize], made
}

// isPadding reports whether a data message is padding.
func isPadding(body []byte) bool {
	one, _ := PaddingBody(1)
	return len(body) == len(one) && bytes.Equal(body, one) || bytes.Equal(body, paddingBody)
}

// paddingTags holds the padding tags of one unit and of maxPaddingUnits.
var paddingTags = [...][]byte{paddingTag(1), paddingTag(maxPaddingUnits)}

func paddingTag(units int) []byte {
	body, _ := PaddingBody(units)
	tag, err := AppendTag(nil, TypeData, 0, body)
	if err != nil {
		panic(err) // cannot happen: it is far below MaxBody
	}
	return tag
}

// AppendPadding appends tags that players ignore. Their total size is units times packetbuf.PaddingUnit
// bytes. The tags are shared and must not be changed.
func AppendPadding(bufs [][]byte, units int) [][]byte {
	for ; units >= maxPaddingUnits; units -= maxPaddingUnits {
		bufs = append(bufs, paddingTags[1])
	}
	for range units {
		bufs = append(bufs, paddingTags[0])
	}
	return bufs
}
