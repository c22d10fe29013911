package codec

import "errors"

// ErrNoFreeze is wrapped by the errors that say why a stream's last picture cannot be repeated
// by a made one.
var ErrNoFreeze = errors.New("no picture can be made")

func noFreeze(why string) error { return errors.Join(ErrNoFreeze, errors.New(why)) }

// Freezer makes pictures for an H.264 stream that repeat the one shown last: P pictures in one
// slice whose macroblocks are all skipped, a few dozen bytes each. It is first to follow the
// stream, picture by picture in decoding order, from a keyframe on or, where there is none, from
// so far back that all references have been seen.
//
// A made picture is itself a reference, so that it may be repeated without end; after it nothing
// may come but an IDR picture. It is right whatever references and order of pictures the encoder
// uses, but for fields, flexible macroblock order, data partitions, separate colour planes,
// long-term references, POC type 1, pictures that are missing, and a last picture that is no
// reference.
type Freezer struct {
	sets     parameterSets
	length   int
	refs     references
	pps      *PPS // of the last slice
	sps      *SPS
	bottom   int
	pictures int
	err      error

	made   int
	round  int       // after how many pictures their numbers begin anew; 0: see roundMost
	data   []byte    // of a made slice that is coded arithmetically; nil: not made yet
	target reference // what the first made picture shows
	newest bool      // which is the first in a decoder's list without further words
}

// NewFreezer begins with the configuration in force.
func NewFreezer(c AVCConfig) *Freezer {
	f := &Freezer{length: c.LengthSize}
	for _, sets := range [][][]byte{c.SPS, c.PPS} {
		for _, nal := range sets {
			if err := f.sets.put(nal); err != nil {
				f.err = err
			}
		}
	}
	return f
}

// Follow takes the stream's next access unit. It keeps nothing of it. What it cannot follow
// makes Ready tell why, up to the next IDR picture.
func (f *Freezer) Follow(au []byte) {
	f.made, f.data = 0, nil
	first := true
	for rest := au; len(rest) > 0; {
		nal, next, err := NextNAL(rest, f.length)
		if err != nil {
			f.err = err
			return
		}
		rest = next
		switch NALType(nal) {
		case NALSPS, NALPPS:
			if err := f.sets.put(nal); err != nil {
				f.err = err
			}
		case NALPartA, NALPartB, NALPartC:
			f.err = noFreeze("data partitions")
		case NALSlice, NALIDR:
			if first {
				f.picture(nal)
				first = false
			} else if f.err == nil {
				f.err = f.further(nal)
			}
		}
	}
}

// further takes another slice of a picture, which may have a PPS of its own, but no other SPS.
func (f *Freezer) further(nal []byte) error {
	_, pps, sps, err := f.sets.slicePPS(&bitReader{data: nal[1:], nal: true})
	switch {
	case err != nil:
		return err
	case sps != f.sps:
		return noFreeze("two sequence parameter sets in one picture")
	case pps.SliceGroups > 1:
		return noFreeze("flexible macroblock order")
	}
	f.pps = pps
	return nil
}

// picture takes the first slice of a picture.
func (f *Freezer) picture(nal []byte) {
	h, err := f.sets.parse(nal)
	if h.idr {
		f.err, f.pictures = nil, 0
	}
	if err == nil {
		err = unfit(&h)
	}
	if err == nil && f.err == nil {
		err = f.refs.add(&h)
	}
	if err != nil {
		f.err = err
		return
	}
	f.pps, f.sps, f.bottom = h.pps, h.sps, h.bottom
	f.pictures++
}

// unfit tells what of a picture no made one can go with.
func unfit(h *sliceHeader) error {
	const (
		constrainedIntra = 44
		mostMBs          = 139264 // of the highest level
	)
	s := h.sps
	switch {
	case h.field:
		return noFreeze("fields")
	case h.pps.SliceGroups > 1:
		return noFreeze("flexible macroblock order")
	case s.SeparatePlanes:
		return noFreeze("separate colour planes")
	case s.POCType == 1:
		return noFreeze("picture order count type 1")
	case h.longTerm:
		return noFreeze("long-term references")
	case s.WidthMBs*s.HeightMBs() > mostMBs:
		return noFreeze("a picture larger than any level allows")
	case s.MaxRefFrames == 0, s.Profile == constrainedIntra, s.Profile >= 110 && s.Constraints&constraintSet3 != 0:
		return noFreeze("no references at all")
	}
	return nil
}

// Ready tells whether a picture can be made after the one that was followed last; nil if so.
func (f *Freezer) Ready() error {
	if f.err != nil {
		return f.err
	}
	last, _ := f.refs.last()
	switch {
	case f.pictures == 0 || f.refs.n == 0:
		return noFreeze("no picture has come")
	case last.poc < f.refs.highest:
		return noFreeze("the last picture is no reference")
	case f.length != 4:
		return noFreeze("NAL unit lengths of other than 4 bytes")
	}
	return nil
}

// Next makes the next picture, an access unit with 4-byte lengths; nil where Ready has an error.
func (f *Freezer) Next() []byte {
	if f.Ready() != nil {
		return nil
	}
	if f.made == 0 {
		f.target, f.newest = f.refs.last()
	}
	f.made++
	return f.make(f.at(f.made))
}

// Count is how many pictures Next has made since the last that was followed.
func (f *Freezer) Count() int { return f.made }

// make makes a picture.
func (f *Freezer) make(at number) []byte {
	w := &bitWriter{}
	f.writeHeader(w, at)
	if mbs := f.sps.WidthMBs * f.sps.HeightMBs(); f.pps.CABAC {
		for w.free > 0 {
			w.u(1, 1) // cabac_alignment_one_bit
		}
		if f.data == nil {
			f.data = skips(mbs, f.sps.MBAFF)
		}
		w.out = append(w.out, f.data...)
	} else {
		w.int(mbs) // mb_skip_run
		w.u(1, 1)  // rbsp_stop_one_bit
	}
	const reference = 2 // nal_ref_idc
	return AppendNAL(nil, appendEscaped([]byte{reference<<5 | NALSlice}, w.out))
}

// writeHeader writes a slice header (ITU-T H.264, 7.3.3).
func (f *Freezer) writeHeader(w *bitWriter, at number) {
	const allP = 5
	s, p := f.sps, f.pps
	most := 1 << s.Log2MaxFrameNum
	before, order := f.refs.frameNum, f.refs.highest
	if at.after { // see references.reset
		before, order = 0, max(0, -f.bottom)
	}
	frameNum := (before + at.n) % most
	w.int(0) // first_mb_in_slice
	w.int(allP)
	w.int(p.ID)
	w.u(s.Log2MaxFrameNum, uint32(frameNum)) //nolint:gosec // not negative
	if !s.FrameMBsOnly {
		w.flag(false) // field_pic_flag
	}
	if s.POCType == 0 {
		poc := order + 2*at.n
		w.u(s.Log2MaxPOCLSB, uint32(poc)&(1<<s.Log2MaxPOCLSB-1)) //nolint:gosec // modulo its range
		if p.BottomPOC {
			w.se(f.bottom)
		}
	}
	if p.RedundantPicPresent {
		w.int(0)
	}
	w.flag(true) // num_ref_idx_active_override_flag
	w.int(0)
	moved := at.n == 1 && !at.after && !f.newest
	w.flag(moved)
	if moved {
		w.int(0)
		w.int((frameNum-f.target.frameNum+most)%most - 1)
		w.int(3)
	}
	f.writeRest(w, at.last)
}

func (f *Freezer) writeRest(w *bitWriter, last bool) {
	const quantiser, noDeblocking = 51, 1
	p := f.pps
	if p.WeightedPred {
		chroma := f.sps.ChromaFormat != 0
		w.int(0) // luma_log2_weight_denom
		if chroma {
			w.int(0)
		}
		w.flag(false)
		if chroma {
			w.flag(false)
		}
	}
	w.flag(last) // adaptive_ref_pic_marking_mode_flag
	if last {
		const allUnused, end = 5, 0 // memory_management_control_operation
		w.int(allUnused)
		w.int(end)
	}
	if p.CABAC {
		w.int(0) // cabac_init_idc
	}
	w.se(quantiser - p.InitQP)
	if p.DeblockingControl {
		w.int(noDeblocking)
	}
}
