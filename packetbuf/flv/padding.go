package flv

import "github.com/holdfast-live/holdfast/packetbuf"

// paddingBody is a data message named onCuePoint whose value is null, and zeros behind it. Players
// look no further than the name; what distinguishes it from another unknown name is that
// libavformat drops it at timestamp 0 without a word, where it would make a data stream of the
// other.
var paddingBody = append(
	[]byte{amfString, 0, 10, 'o', 'n', 'C', 'u', 'e', 'P', 'o', 'i', 'n', 't', amfNull},
	make([]byte, packetbuf.PaddingUnit-tagHeader-prevTagSize-14)...)

// PaddingBody returns the body of a data message that players ignore. It is to be sent at
// timestamp 0; the caller must not change it. Decode drops it.
func PaddingBody() []byte { return paddingBody }

// PaddingTag returns a tag of PaddingUnit bytes, with its PreviousTagSize, that players ignore.
func PaddingTag() []byte {
	tag, err := AppendTag(nil, TypeData, 0, paddingBody)
	if err != nil {
		panic(err) // it is far below MaxBody
	}
	return tag
}
