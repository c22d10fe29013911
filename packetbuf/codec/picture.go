package codec

import "github.com/holdfast-live/holdfast/packetbuf"

// Types of HEVC NAL units beside parameter sets and slices (ITU-T H.265, table 7-1).
const (
	hevcEndOfSequence = 36
	hevcEndOfStream   = 37
	hevcFiller        = 38
	hevcSuffixSEI     = 40
)

// hevcType returns the nal_unit_type of an HEVC NAL unit.
func hevcType(nal []byte) int {
	if len(nal) == 0 {
		return hevcFiller
	}
	return int(nal[0] >> 1 & 0x3f)
}

// UnitRole is the part that a NAL unit has in an access unit.
type UnitRole uint8

// The roles of NAL units.
const (
	PrefixUnit UnitRole = iota // stands before the slices: a delimiter, a parameter set, SEI
	SliceUnit                  // a slice of the picture, or a partition of one
	SuffixUnit                 // stands behind slices: filler, an end of sequence, suffix SEI
)

// RoleOf returns the role of a NAL unit of H.264 or HEVC.
func RoleOf(c packetbuf.Codec, nal []byte) UnitRole {
	if c == packetbuf.HEVC {
		switch t := hevcType(nal); {
		case t < hevcVPS:
			return SliceUnit
		case t >= hevcEndOfSequence && t <= hevcFiller, t == hevcSuffixSEI, t >= 45 && t <= 47, t >= 56:
			return SuffixUnit
		}
		return PrefixUnit
	}
	switch t := NALType(nal); {
	case t >= NALSlice && t <= NALIDR:
		return SliceUnit
	case t >= NALEndSeq && t <= NALFiller, t == 0, t == 19, t == 20, t == 21:
		return SuffixUnit
	}
	return PrefixUnit
}

// Slice is what a slice's header says of the picture that it belongs to.
type Slice struct {
	// First reports that the slice is the first of its picture in the order in which slices
	// are coded: first_mb_in_slice is 0, or first_slice_segment_in_pic_flag is set.
	First bool
	// Address is the first macroblock of an H.264 slice.
	Address uint32
	// Field and Bottom are of H.264: the picture is a field, and the bottom one.
	Field, Bottom bool

	known bool // head is
	exact bool // First says all that there is to know
	head  sliceHeader
}

// Pictures reads slice headers of one video track. Its zero value is ready.
type Pictures struct{ sets parameterSets }

// Put takes a parameter set; NAL units of another kind, and HEVC's, have no effect.
func (p *Pictures) Put(c packetbuf.Codec, nal []byte) {
	if c == packetbuf.H264 {
		_ = p.sets.put(nal) // one that cannot be read leaves what was there
	}
}

// Slice reads the header of a NAL unit with SliceUnit as its role.
func (p *Pictures) Slice(c packetbuf.Codec, nal []byte) Slice {
	if c == packetbuf.HEVC {
		if len(nal) < 3 {
			return Slice{First: true} // nothing can be told: a picture of its own
		}
		return Slice{First: nal[2]&0x80 != 0 && nal[0]&1 == 0 && nal[1]&0xf8 == 0, exact: true}
	}
	if len(nal) < 2 {
		return Slice{First: true}
	}
	if t := NALType(nal); t == NALPartB || t == NALPartC {
		return Slice{} // belongs to the partition A before it
	}
	r := &bitReader{data: nal[1:], nal: true}
	s := Slice{Address: r.ue()}
	if s.First = s.Address == 0 || r.short; r.short {
		return s // nothing can be told: a picture of its own
	}
	head, err := p.sets.parse(nal)
	if err != nil {
		return s
	}
	s.known, s.head = true, head
	s.Field, s.Bottom = head.field, head.bottomField
	// A redundant slice repeats a part of the picture.
	s.First = s.First && head.redundant == 0
	return s
}

// Differs reports whether two slices are known to be of different pictures (ITU-T H.264,
// 7.4.1.2.4).
func (s Slice) Differs(o Slice) bool {
	if !s.known || !o.known {
		return false
	}
	a, b := &s.head, &o.head
	return a.frameNum != b.frameNum || a.pps.ID != b.pps.ID || a.field != b.field || a.bottomField != b.bottomField ||
		(a.refIDC == 0) != (b.refIDC == 0) || a.idr != b.idr || a.idr && a.idrPicID != b.idrPicID ||
		a.pocLSB != b.pocLSB || a.bottom != b.bottom
}

// OtherField reports whether s is the second field of the frame whose first field o is.
func (s Slice) OtherField(o Slice) bool {
	return s.known && o.known && s.Field && o.Field && s.Bottom != o.Bottom && s.head.frameNum == o.head.frameNum
}

// ParameterSet returns what kind of parameter set a NAL unit of H.264 or HEVC is, as its place in
// HEVCSets, and its id; ok is false for another NAL unit and for a set that cannot be read.
func ParameterSet(c packetbuf.Codec, nal []byte) (kind, id int, ok bool) {
	if c == packetbuf.HEVC {
		return hevcParameterSet(nal)
	}
	switch NALType(nal) {
	case NALSPS:
		s, err := ParseSPS(nal)
		return 1, s.ID, err == nil
	case NALPPS:
		p, err := ParsePPS(nal)
		return 2, p.ID, err == nil
	}
	return 0, 0, false
}

func hevcParameterSet(nal []byte) (kind, id int, ok bool) {
	if len(nal) < 3 || nal[0]&1 != 0 || nal[1]&0xf8 != 0 {
		return 0, 0, false // of another layer
	}
	switch kind = hevcType(nal) - hevcVPS; kind {
	case 0:
		return kind, int(nal[2] >> 4), true
	case 1:
		f, err := readHEVCFormat(nal)
		return kind, int(f.id), err == nil
	case 2:
		r := &bitReader{data: nal[2:], nal: true}
		id = int(r.ue())
		return kind, id, !r.short && id < 64
	}
	return 0, 0, false
}

// Unknown reports whether the header could not be read beyond its place in the picture.
func (s Slice) Unknown() bool { return !s.known && !s.exact }
