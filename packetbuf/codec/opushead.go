package codec

import "encoding/binary"

// OpusHead is the identification header of Opus (RFC 7845, 5.1), which containers use as its
// configuration.
type OpusHead struct {
	Channels int // 1 to 255
	// PreSkip is the number of samples at OpusRate to discard from the start of the decoder's output.
	PreSkip int
	Rate    int   // sample rate of the encoder's input in Hz; 0 if unknown
	Gain    int16 // output gain in 1/256 dB
	// Family is the channel mapping family: 0 for mono or stereo in one stream. For all others Mapping
	// is the channel mapping table, which begins with the stream count and coupled count.
	Family  byte
	Mapping string
}

const (
	opusMagic    = "OpusHead"
	opusHeadSize = 19 // bytes without the mapping table
)

// ParseOpusHead reads an identification header. It ignores any bytes after it.
func ParseOpusHead(b []byte) (OpusHead, error) {
	if len(b) < opusHeadSize || string(b[:8]) != opusMagic {
		return OpusHead{}, malformed("OpusHead: cut short or no signature")
	}
	h := OpusHead{
		Channels: int(b[9]), PreSkip: int(binary.LittleEndian.Uint16(b[10:])),
		Rate: int(binary.LittleEndian.Uint32(b[12:])), Gain: int16(binary.LittleEndian.Uint16(b[16:])), Family: b[18], //nolint:gosec // as it is defined
	}
	if b[8]>>4 != 0 {
		return OpusHead{}, malformedf("OpusHead: version %d", b[8])
	}
	if h.Channels == 0 || h.Family == 0 && h.Channels > 2 {
		return OpusHead{}, malformedf("OpusHead: %d channels in family %d", h.Channels, h.Family)
	}
	if h.Family != 0 {
		table := 2 + h.Channels
		if len(b) < opusHeadSize+table {
			return OpusHead{}, malformed("OpusHead: no table of channels")
		}
		h.Mapping = string(b[opusHeadSize : opusHeadSize+table])
	}
	return h, nil
}

// Append appends the header to dst.
func (h OpusHead) Append(dst []byte) []byte {
	dst = append(dst, opusMagic...)
	dst = append(dst, 1, byte(h.Channels))                         //nolint:gosec // 1 to 255
	dst = binary.LittleEndian.AppendUint16(dst, uint16(h.PreSkip)) //nolint:gosec // 16 bits
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.Rate))    //nolint:gosec // 32 bits
	dst = binary.LittleEndian.AppendUint16(dst, uint16(h.Gain))    //nolint:gosec // two's complement
	return append(append(dst, h.Family), h.Mapping...)
}
