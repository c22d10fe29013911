package codec

import (
	"bytes"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// UnitFaults are what ReadUnits found wrong with the framing of an access unit.
type UnitFaults uint8

// Faults of framing.
const (
	UnitsAnnexB    UnitFaults = 1 << iota // start codes stand where lengths belong
	UnitsStartCode                        // one length covers several NAL units with start codes between them
	UnitsEmpty                            // a NAL unit of no bytes
	UnitsCut                              // a length reaches beyond the end; the rest was left out
)

var startCode = []byte{0, 0, 1}

// ReadUnits appends the NAL units of an access unit of H.264 or HEVC to dst. The units should each
// have their length in front, in lengthSize (1, 2 or 4) bytes; ReadUnits also reads Annex B, a mix
// of both, and start codes within a unit. Empty units are left out. The units alias au.
//
// A start code cannot occur within a NAL unit (ITU-T H.264, 7.4.1; H.265, 7.4.2): where one does,
// and what follows begins like a NAL unit, it is a boundary.
func ReadUnits(dst [][]byte, c packetbuf.Codec, au []byte, lengthSize int) ([][]byte, UnitFaults) {
	end, faults := measureUnits(c, au, lengthSize)
	for rest := au[:end]; len(rest) > 0; {
		nal, next, err := NextNAL(rest, lengthSize)
		if err != nil {
			break // measureUnits has read it
		}
		if rest = next; len(nal) == 0 {
			faults |= UnitsEmpty
			continue
		}
		n := len(dst)
		if dst = appendSplit(dst, c, nal); len(dst) != n+1 || len(dst[n]) != len(nal) {
			faults |= UnitsStartCode
		}
	}
	if faults&UnitsAnnexB != 0 {
		dst = appendSplit(dst, packetbuf.NoCodec, au[end:])
	}
	return dst, faults
}

// measureUnits returns how much of au is length-prefixed units. Where not all is, they end at the
// start code that stands in place of a length (UnitsAnnexB), or before the unit that cannot be read
// (UnitsCut).
func measureUnits(c packetbuf.Codec, au []byte, lengthSize int) (end int, fault UnitFaults) {
	code := -1 // the last that may be one: read as lengths, what follows has no meaning
	for rest := au; len(rest) > 0; {
		nal, next, err := NextNAL(rest, lengthSize)
		if IsAnnexB(rest) && isCode(c, rest, nal, next, lengthSize) {
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

// isCode reports whether b begins with a start code rather than with the length of a unit of 256 to
// 511 bytes, which looks like one; nal and then next is what b holds if that is a length.
func isCode(c packetbuf.Codec, b, nal, next []byte, lengthSize int) bool {
	switch {
	case b[2] == 0:
		return true // else a unit of a single byte
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

// appendSplit appends the units of b, which is one unit or several with start codes between
// them. With NoCodec whatever follows a start code is taken for a unit.
func appendSplit(dst [][]byte, c packetbuf.Codec, b []byte) [][]byte {
	begin := 0
	for at := 0; ; {
		i := bytes.Index(b[at:], startCode)
		if i < 0 {
			break
		}
		code := at + i
		if at = code + len(startCode); c == packetbuf.NoCodec || plausibleUnit(c, b[at:]) {
			dst = appendNotEmpty(dst, b[begin:code])
			begin = at
		}
	}
	if begin == 0 {
		return append(dst, b) // no boundary: its trailing zeros, if any, are its own
	}
	return appendNotEmpty(dst, b[begin:])
}

// appendNotEmpty appends a unit without the zero bytes behind it: a unit never ends in one.
func appendNotEmpty(dst [][]byte, nal []byte) [][]byte {
	if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 {
		dst = append(dst, nal)
	}
	return dst
}

// plausibleUnit reports whether b begins with the header of a NAL unit of a type that is in use.
func plausibleUnit(c packetbuf.Codec, b []byte) bool {
	if c == packetbuf.HEVC {
		t := hevcType(b)
		return len(b) > 2 && b[0]&0x80 == 0 && b[1]&7 != 0 && t <= hevcSuffixSEI && (t <= hevcCRA || t >= hevcVPS)
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

// impossibleUnit reports whether b begins with what no encoder writes as the header of a NAL unit.
func impossibleUnit(c packetbuf.Codec, b []byte) bool {
	if len(b) == 0 {
		return false
	}
	if c == packetbuf.HEVC {
		return b[0]&0x80 != 0 || len(b) > 1 && b[1]&7 == 0
	}
	const unspecified = 24 // the first
	t := NALType(b)
	return b[0]&0x80 != 0 || t == 0 || t >= NALPartA && t <= NALPartC || t >= unspecified
}

// JoinUnits returns an access unit of these NAL units with lengths of four bytes.
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
