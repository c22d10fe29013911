package codec

import (
	"encoding/binary"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// HEVC NAL unit types (ITU-T H.265, table 7-1).
const (
	hevcFirstRandomAccess = 16 // first type of random-access pictures
	hevcLastRandomAccess  = 21 // last type of random-access pictures
	hevcVPS               = 32
	hevcSPS               = 33
	hevcPPS               = 34
)

// HEVCSets holds parameter sets by kind: VPS at index 0, SPS at 1 and PPS at 2.
type HEVCSets [3][][]byte

// HEVCKind returns the Kind of an HEVC access unit with 4-byte lengths, and the parameter sets that it
// contains. An access unit is Disposable if all its slices are of sub-layer non-reference types.
func HEVCKind(au []byte) (packetbuf.Kind, HEVCSets, error) {
	var sets HEVCSets
	slices, key, referenced := false, false, false
	for rest := au; len(rest) > 0; {
		nal, next, err := NextNAL(rest, 4)
		if err != nil {
			return packetbuf.Delta, sets, err
		}
		if rest = next; len(nal) < 2 {
			continue
		}
		switch t := int(nal[0] >> 1 & 0x3f); {
		case t < hevcVPS:
			slices = true
			key = key || t >= hevcFirstRandomAccess && t <= hevcLastRandomAccess
			referenced = referenced || t >= hevcFirstRandomAccess || t%2 == 1
		case t <= hevcPPS:
			sets[t-hevcVPS] = append(sets[t-hevcVPS], nal)
		}
	}
	switch {
	case key:
		return packetbuf.Key, sets, nil
	case slices && !referenced:
		return packetbuf.Disposable, sets, nil
	}
	return packetbuf.Delta, sets, nil
}

// HEVCHasSlice reports whether an access unit with 4-byte lengths contains a coded slice.
func HEVCHasSlice(au []byte) bool {
	for rest := au; len(rest) > 0; {
		nal, next, err := NextNAL(rest, 4)
		if err != nil {
			return false
		}
		if rest = next; len(nal) > 1 && nal[0]>>1&0x3f < hevcVPS {
			return true
		}
	}
	return false
}

// NewHEVCConfig returns an hvcC (ISO/IEC 14496-15, 8.3.3.1) with these parameter sets, for access units
// with 4-byte lengths. It returns an error unless there are 1 to 64 sets of each kind.
func NewHEVCConfig(sets HEVCSets) ([]byte, error) {
	for _, s := range sets {
		if len(s) == 0 || len(s) > 64 {
			return nil, malformedf("hvcC of %d sets of a kind", len(s))
		}
	}
	f, err := parseHEVCSPS(sets[1][0])
	if err != nil {
		return nil, err
	}
	c := append([]byte{1}, f.profile[:]...)
	c = append(c, 0xf0, 0, 0xfc, 0xfc|byte(f.chroma), 0xf8|byte(f.lumaDepth), 0xf8|byte(f.chromaDepth), 0, 0) //nolint:gosec // a few bits each
	nested := byte(0)
	if f.temporalNesting {
		nested = 1
	}
	c = append(c, byte(f.subLayers)<<3|nested<<2|3, byte(len(sets))) //nolint:gosec // 3 bits
	for i, list := range sets {
		c = append(c, 0x80|byte(hevcVPS+i), 0, byte(len(list))) //nolint:gosec // see above
		for _, nal := range list {
			if len(nal) > 0xffff {
				return nil, malformed("hvcC: a parameter set of more than 65,535 bytes")
			}
			c = binary.BigEndian.AppendUint16(c, uint16(len(nal))) //nolint:gosec // see above
			c = append(c, nal...)
		}
	}
	return c, nil
}

// hevcSPSFields holds the fields of an SPS that an hvcC needs.
type hevcSPSFields struct {
	profile                        [12]byte // general profile, tier and level
	id                             uint32
	subLayers                      uint32
	temporalNesting                bool
	chroma, lumaDepth, chromaDepth uint32 // chroma_format_idc, and both bit depths minus 8
	width, height                  int    // pixels, cropped
}

// parseHEVCSPS reads an SPS (ITU-T H.265, 7.3.2.2) up to the bit depths.
func parseHEVCSPS(sps []byte) (hevcSPSFields, error) {
	if len(sps) < 2 {
		return hevcSPSFields{}, malformed("HEVC SPS: cut short")
	}
	r := &bitReader{data: sps[2:], nal: true}
	var f hevcSPSFields
	r.u(4)
	more := int(r.u(3))
	f.subLayers, f.temporalNesting = uint32(more)+1, r.flag() //nolint:gosec // 3 bits
	for i := range f.profile {
		f.profile[i] = byte(r.u(8)) //nolint:gosec // 8 bits
	}
	skipHEVCSubLayers(r, more)
	f.id = r.ue()
	planes := false
	if f.chroma = r.ue(); f.chroma == 3 {
		planes = r.flag()
	}
	width, height := int64(r.ue()), int64(r.ue())
	if r.flag() { // conformance_window_flag, in units of chroma samples
		unitX, unitY := int64(1), int64(1)
		if f.chroma == 1 || f.chroma == 2 {
			unitX = 2
		}
		if f.chroma == 1 && !planes {
			unitY = 2
		}
		width -= unitX * (int64(r.ue()) + int64(r.ue()))
		height -= unitY * (int64(r.ue()) + int64(r.ue()))
	}
	f.width, f.height = checkedSide(width), checkedSide(height)
	f.lumaDepth, f.chromaDepth = r.ue(), r.ue()
	if r.short || f.chroma > 3 || f.lumaDepth > 8 || f.chromaDepth > 8 || f.id > 15 {
		return hevcSPSFields{}, malformed("HEVC SPS: cut short or out of range")
	}
	return f, nil
}

// checkedSide returns v, the width or height of a frame in pixels, or 0 if v is out of range.
func checkedSide(v int64) int {
	if v < 0 || v > 1<<16 {
		return 0
	}
	return int(v)
}

// hevcSize returns the frame size in pixels from the SPS in an hvcC. It returns zeros if the hvcC
// contains no readable SPS.
func hevcSize(record []byte) (width, height int) {
	au, err := HEVCParameterSets(record)
	for err == nil && len(au) > 0 {
		var nal []byte
		if nal, au, err = NextNAL(au, 4); err == nil && len(nal) > 0 && nal[0]>>1&0x3f == hevcSPS {
			f, _ := parseHEVCSPS(nal)
			return f.width, f.height
		}
	}
	return 0, 0
}

// skipHEVCSubLayers skips the profile and level of n sub-layers (ITU-T H.265, 7.3.3).
func skipHEVCSubLayers(r *bitReader, n int) {
	if n == 0 {
		return
	}
	var profile, level [8]bool
	for i := range 8 {
		profile[i], level[i] = r.flag(), r.flag()
	}
	for i := range n {
		if profile[i] {
			r.skip(88)
		}
		if level[i] {
			r.skip(8)
		}
	}
}

// HEVCParameterSets returns the parameter sets of an hvcC as NAL units with 4-byte lengths, for use in
// band before a keyframe.
func HEVCParameterSets(record []byte) ([]byte, error) {
	const fixed = 23
	if len(record) < fixed {
		return nil, malformed("hvcC: header")
	}
	var au []byte
	rest := record[fixed:]
	for range int(record[fixed-1]) {
		if len(rest) < 3 {
			return nil, malformed("hvcC: cut short")
		}
		count := int(rest[1])<<8 | int(rest[2])
		rest = rest[3:]
		for range count {
			nal, more, err := NextNAL(rest, 2)
			if err != nil {
				return nil, err
			}
			au, rest = AppendNAL(au, nal), more
		}
	}
	return au, nil
}
