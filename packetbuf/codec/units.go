package codec

import (
	"bytes"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// UnitFaults is a set of faults in the framing of the NAL units of an access unit.
type UnitFaults uint8

// The faults of framing.
const (
	UnitsAnnexB    UnitFaults = 1 << iota // start codes instead of length prefixes
	UnitsStartCode                        // one length covers several NAL units with start codes between them
	UnitsEmpty                            // a NAL unit of no bytes
	UnitsCut                              // a length exceeds the access unit; the rest was dropped
)

var startCode = []byte{0, 0, 1}

// ReadUnits appends the NAL units of an H.264 or HEVC access unit to dst, and returns the faults that it
// found. Each unit should be prefixed by its length in lengthSize (1, 2 or 4) bytes. ReadUnits also
// accepts Annex B, a mix of both, and several units with start codes under one length. It omits empty
// units. The units alias au.
//
// A start code cannot occur within a NAL unit (ITU-T H.264, 7.4.1; H.265, 7.4.2). ReadUnits therefore
// splits a unit at a start code if a plausible NAL unit header follows.
func ReadUnits(dst [][]byte, c packetbuf.Codec, au []byte, lengthSize int) ([][]byte, UnitFaults) {
	end, faults := measureLengthPrefixed(c, au, lengthSize)
	for rest := au[:end]; len(rest) > 0; {
		nal, next, err := NextNAL(rest, lengthSize)
		if err != nil {
			break // cannot happen, as measureLengthPrefixed has read it
		}
		if rest = next; len(nal) == 0 {
			faults |= UnitsEmpty
			continue
		}
		n := len(dst)
		if dst = appendSplitUnits(dst, c, nal); len(dst) != n+1 || len(dst[n]) != len(nal) {
			faults |= UnitsStartCode
		}
	}
	if faults&UnitsAnnexB != 0 {
		dst = appendSplitUnits(dst, packetbuf.NoCodec, au[end:])
	}
	return dst, faults
}

// measureLengthPrefixed returns the size of the leading part of au that consists of length-prefixed units.
// If that is not all of au, fault is UnitsAnnexB if a start code follows instead of a length, or UnitsCut
// if the next unit exceeds au.
func measureLengthPrefixed(c packetbuf.Codec, au []byte, lengthSize int) (end int, fault UnitFaults) {
	code := -1 // position of the last possible start code; if it is one, reading on as lengths is wrong
	for rest := au; len(rest) > 0; {
		nal, next, err := NextNAL(rest, lengthSize)
		if IsAnnexB(rest) && isStartCode(c, rest, nal, next, lengthSize) {
			if code = len(au) - len(rest); err == nil && impossibleUnit(c, nal) {
				return code, UnitsAnnexB
			}
		}
		switch {
		case err == nil:
			rest = next
		case code >= 0:
			return code, UnitsAnnexB
		default:
			return len(au) - len(rest), UnitsCut
		}
	}
	return len(au), 0
}

// IsAnnexB reports whether b begins with a start code of three or four bytes.
func IsAnnexB(b []byte) bool {
	return bytes.HasPrefix(b, startCode) || len(b) > 3 && b[0] == 0 && bytes.HasPrefix(b[1:], startCode)
}

// isStartCode reports whether b begins with a start code rather than with the length of a unit of 256 to
// 511 bytes, which looks the same. nal and next are the first unit and the rest of b if it is read as
// length-prefixed.
func isStartCode(c packetbuf.Codec, b, nal, next []byte, lengthSize int) bool {
	switch {
	case b[2] == 0:
		return true // otherwise the length of a unit of a single byte
	case !plausibleUnit(c, b[len(startCode):]):
		return false
	case !plausibleUnit(c, nal), bytes.Contains(nal, startCode):
		return true
	case len(next) == 0:
		return false
	}
	after, _, err := NextNAL(next, lengthSize)
	return err != nil || !plausibleUnit(c, after)
}

// appendSplitUnits appends the units of b, which is one unit or several with start codes between them. If
// c is NoCodec, it splits at every start code, otherwise only if a plausible NAL unit header follows.
func appendSplitUnits(dst [][]byte, c packetbuf.Codec, b []byte) [][]byte {
	begin := 0
	for at := 0; ; {
		i := bytes.Index(b[at:], startCode)
		if i < 0 {
			break
		}
		code := at + i
		if at = code + len(startCode); c == packetbuf.NoCodec || plausibleUnit(c, b[at:]) {
			dst = appendTrimmedUnit(dst, b[begin:code])
			begin = at
		}
	}
	if begin == 0 {
		return append(dst, b) // no boundary: trailing zeros, if any, belong to the unit
	}
	return appendTrimmedUnit(dst, b[begin:])
}

// appendTrimmedUnit appends a unit without trailing zero bytes, which are never part of a NAL unit.
func appendTrimmedUnit(dst [][]byte, nal []byte) [][]byte {
	if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 {
		dst = append(dst, nal)
	}
	return dst
}

// plausibleUnit reports whether b begins with the header of a NAL unit of a commonly used type.
func plausibleUnit(c packetbuf.Codec, b []byte) bool {
	if c == packetbuf.HEVC {
		t := hevcType(b)
		return len(b) > 2 && b[0]&0x80 == 0 && b[1]&7 != 0 && t <= hevcSuffixSEI && (t <= hevcLastRandomAccess || t >= hevcVPS)
	}
	if len(b) < 2 || b[0]&0x80 != 0 {
		return false
	}
	switch t := NALType(b); t {
	case NALSlice:
		return true
	case NALIDR, NALSPS, NALPPS:
		return NALRefIDC(b) != 0
	case NALSEI, NALDelimiter, NALFiller:
		return NALRefIDC(b) == 0
	}
	return false
}

// impossibleUnit reports whether b begins with a NAL unit header that encoders in use do not write.
func impossibleUnit(c packetbuf.Codec, b []byte) bool {
	if len(b) == 0 {
		return false
	}
	if c == packetbuf.HEVC {
		return b[0]&0x80 != 0 || len(b) > 1 && b[1]&7 == 0
	}
	const unspecified = 24 // first of the unspecified types
	t := NALType(b)
	return b[0]&0x80 != 0 || t == 0 || t >= NALPartA && t <= NALPartC || t >= unspecified
}

// JoinUnits returns an access unit that consists of the given NAL units with 4-byte lengths.
func JoinUnits(units [][]byte) []byte {
	size := 0
	for _, nal := range units {
		size += 4 + len(nal)
	}
	au := make([]byte, 0, size)
	for _, nal := range units {
		au = AppendNAL(au, nal)
	}
	return au
}
