package codec

import "github.com/holdfast-live/holdfast/packetbuf"

// Types of HEVC NAL units other than parameter sets and slices (ITU-T H.265, table 7-1).
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

// UnitRole is the role of a NAL unit in an access unit.
type UnitRole uint8

// The roles of NAL units.
const (
	PrefixUnit UnitRole = iota // precedes the slices: a delimiter, a parameter set, SEI
	SliceUnit                  // a slice or a partition of a slice
	SuffixUnit                 // follows the slices: filler, an end of sequence, suffix SEI
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

// Slice is the part of a slice header that identifies the slice's picture, which is a frame or a field.
type Slice struct {
	// First is true if the slice is the first of its picture in coding order: first_mb_in_slice is 0
	// (H.264), or first_slice_segment_in_pic_flag is set (HEVC).
	First bool
	// Address is first_mb_in_slice of an H.264 slice.
	Address uint32
	// Field is true if an H.264 picture is a field, and Bottom if it is the bottom field.
	Field, Bottom bool

	headerValid  bool // header is valid
	firstCertain bool // First is certain
	header       sliceHeader
}

// SliceReader reads the slice headers of one video track. Its zero value is ready to use.
type SliceReader struct{ sets parameterSets }

// AddParameterSet stores a parameter set of H.264. It ignores other NAL units and other codecs.
func (p *SliceReader) AddParameterSet(c packetbuf.Codec, nal []byte) {
	if c == packetbuf.H264 {
		_ = p.sets.add(nal) // an unreadable set leaves the earlier one in force
	}
}

// Read reads the header of a NAL unit whose role is SliceUnit.
func (p *SliceReader) Read(c packetbuf.Codec, nal []byte) Slice {
	if c == packetbuf.HEVC {
		if len(nal) < 3 {
			return Slice{First: true} // unreadable: assume a picture of its own
		}
		return Slice{First: nal[2]&0x80 != 0 && nal[0]&1 == 0 && nal[1]&0xf8 == 0, firstCertain: true}
	}
	if len(nal) < 2 {
		return Slice{First: true}
	}
	if t := NALType(nal); t == NALPartB || t == NALPartC {
		return Slice{} // belongs to the preceding partition A
	}
	r := &bitReader{data: nal[1:], nal: true}
	s := Slice{Address: r.ue()}
	if s.First = s.Address == 0 || r.short; r.short {
		return s // unreadable: assume a picture of its own
	}
	head, err := p.sets.parseSlice(nal)
	if err != nil {
		return s
	}
	s.headerValid, s.header = true, head
	s.Field, s.Bottom = head.field, head.bottomField
	// A redundant slice repeats part of the picture.
	s.First = s.First && head.redundant == 0
	return s
}

// Differs reports whether two slices are known to belong to different pictures (ITU-T H.264,
// 7.4.1.2.4).
func (s Slice) Differs(o Slice) bool {
	if !s.headerValid || !o.headerValid {
		return false
	}
	a, b := &s.header, &o.header
	return a.frameNum != b.frameNum || a.pps.ID != b.pps.ID || a.field != b.field || a.bottomField != b.bottomField ||
		(a.refIDC == 0) != (b.refIDC == 0) || a.idr != b.idr || a.idr && a.idrPicID != b.idrPicID ||
		a.pocLSB != b.pocLSB || a.bottom != b.bottom
}

// SecondFieldOf reports whether s belongs to the second field of a frame, of whose first field o is a
// slice.
func (s Slice) SecondFieldOf(o Slice) bool {
	return s.headerValid && o.headerValid && s.Field && o.Field && s.Bottom != o.Bottom && s.header.frameNum == o.header.frameNum
}

// ParameterSet returns the kind of an H.264 or HEVC parameter set, as an index of HEVCSets, and its ID.
// ok is false if nal is not a parameter set or cannot be read.
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
		f, err := parseHEVCSPS(nal)
		return kind, int(f.id), err == nil
	case 2:
		r := &bitReader{data: nal[2:], nal: true}
		id = int(r.ue())
		return kind, id, !r.short && id < 64
	}
	return 0, 0, false
}

// Unreadable reports whether the slice header could not be read, except possibly for the slice's position
// in its picture.
func (s Slice) Unreadable() bool { return !s.headerValid && !s.firstCertain }
