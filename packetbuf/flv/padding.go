package flv

import (
	"bytes"
	"net"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// maxPaddingUnits is how many units one message has at most.
const maxPaddingUnits = 16

const paddingName = 14 // bytes

// paddingBody is a data message named onCuePoint whose value is null, and zeros behind it. Players
// look no further than the name; what distinguishes it from another unknown name is that
// libavformat drops it at timestamp 0 without a word, where it would make a data stream of the
// other.
var paddingBody = append(
	[]byte{amfString, 0, 10, 'o', 'n', 'C', 'u', 'e', 'P', 'o', 'i', 'n', 't', amfNull},
	make([]byte, maxPaddingUnits*packetbuf.PaddingUnit-tagHeader-prevTagSize-paddingName)...)

// PaddingBody returns the body of a data message that players ignore, and how many units of
// padding it stands for: as many as it may, up to the number given. It is to be sent at timestamp
// 0; the caller must not change it. Decode drops it.
func PaddingBody(units int) (body []byte, stands int) {
	if stands = 1; units >= maxPaddingUnits {
		stands = maxPaddingUnits
	}
	return paddingBody[:stands*packetbuf.PaddingUnit-tagHeader-prevTagSize], stands
}

// isPadding reports whether a data message is padding.
func isPadding(body []byte) bool {
	one, _ := PaddingBody(1)
	return len(body) == len(one) && bytes.Equal(body, one) || bytes.Equal(body, paddingBody)
}

// paddingTags are the tags of one unit and of as many as one may have.
var paddingTags = [...][]byte{paddingTag(1), paddingTag(maxPaddingUnits)}

func paddingTag(units int) []byte {
	body, _ := PaddingBody(units)
	tag, err := AppendTag(nil, TypeData, 0, body)
	if err != nil {
		panic(err) // it is far below MaxBody
	}
	return tag
}

// AppendPadding appends tags that players ignore, in all units of packetbuf.PaddingUnit bytes.
// They are shared.
func AppendPadding(bufs net.Buffers, units int) net.Buffers {
	for ; units >= maxPaddingUnits; units -= maxPaddingUnits {
		bufs = append(bufs, paddingTags[1])
	}
	for range units {
		bufs = append(bufs, paddingTags[0])
	}
	return bufs
}
