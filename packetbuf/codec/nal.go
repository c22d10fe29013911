package codec

import "encoding/binary"

// H.264 NAL unit types (ITU-T H.264, table 7-1).
const (
	NALSlice     = 1
	NALPartA     = 2
	NALPartB     = 3
	NALPartC     = 4
	NALIDR       = 5
	NALSEI       = 6
	NALSPS       = 7
	NALPPS       = 8
	NALDelimiter = 9
	NALEndSeq    = 10
	NALEndStream = 11
	NALFiller    = 12
)

// NALType returns the type of an H.264 NAL unit. For an empty unit it returns 0, an unspecified type.
func NALType(nal []byte) int {
	if len(nal) == 0 {
		return 0
	}
	return int(nal[0] & 0x1f)
}

// NALRefIDC returns the nal_ref_idc of an H.264 NAL unit. For a slice, 0 means that no other frame refers
// to its frame.
func NALRefIDC(nal []byte) int {
	if len(nal) == 0 {
		return 0
	}
	return int(nal[0] >> 5 & 3)
}

// NextNAL returns the first NAL unit of an access unit and the rest of the access unit. Each NAL unit must
// be prefixed by its length in lengthSize (1, 2 or 4) bytes. A NAL unit may be empty. To read all units,
// the caller passes rest to the next call until it is empty. nal and rest alias au.
func NextNAL(au []byte, lengthSize int) (nal, rest []byte, err error) {
	if len(au) < lengthSize {
		return nil, nil, malformed("NAL unit: length cut short")
	}
	var n uint32
	switch lengthSize {
	case 1:
		n = uint32(au[0])
	case 2:
		n = uint32(binary.BigEndian.Uint16(au))
	case 4:
		n = binary.BigEndian.Uint32(au)
	default:
		return nil, nil, malformedf("NAL unit: length of %d bytes", lengthSize)
	}
	body := au[lengthSize:]
	if uint64(n) > uint64(len(body)) {
		return nil, nil, malformedf("NAL unit: %d bytes declared, %d left", n, len(body))
	}
	return body[:n:n], body[n:], nil
}

// AppendNAL appends nal to the access unit au, with a 4-byte length prefix.
func AppendNAL(au, nal []byte) []byte {
	au = binary.BigEndian.AppendUint32(au, uint32(len(nal))) //nolint:gosec // a message is far below 4 GiB
	return append(au, nal...)
}

// AppendAnnexB appends the NAL units of a byte stream with start codes (ITU-T H.264, annex B) to the
// access unit au, with 4-byte length prefixes. It omits empty units.
func AppendAnnexB(au, stream []byte) []byte {
	start := -1
	for i := 0; i+2 < len(stream); {
		switch {
		case stream[i+2] > 1:
			i += 3
		case stream[i] == 0 && stream[i+1] == 0 && stream[i+2] == 1:
			au = appendTrimmed(au, stream, start, i)
			i += 3
			start = i
		default:
			i++
		}
	}
	return appendTrimmed(au, stream, start, len(stream))
}

// appendTrimmed appends the NAL unit stream[start:end] without trailing zero bytes (trailing_zero_8bits),
// which are never part of a NAL unit.
func appendTrimmed(au, stream []byte, start, end int) []byte {
	if start < 0 {
		return au
	}
	for end > start && stream[end-1] == 0 {
		end--
	}
	if end == start {
		return au
	}
	return AppendNAL(au, stream[start:end])
}
