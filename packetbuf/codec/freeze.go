package codec

import "errors"

// ErrNoFreeze is wrapped by the errors that explain why no freeze frame can be made for a stream.
var ErrNoFreeze = errors.New("no freeze frame can be made")

func noFreezeError(why string) error { return errors.Join(ErrNoFreeze, errors.New(why)) }

// Freezer makes freeze frames for an H.264 stream. A freeze frame repeats the frame displayed last. It is
// a P frame of a few dozen bytes, with one slice whose macroblocks are all skipped. Freezer must first
// follow the stream in decoding order, every access unit from a keyframe on. Without a keyframe it must
// follow until it has seen all references.
//
// A freeze frame is itself a reference, so any number of them can follow each other. Only an IDR frame
// may follow the last one. Freezer does not support fields, flexible macroblock order, data partitions,
// separate colour planes, long-term references, POC type 1, missing frames, or a last frame that is not a
// reference.
type Freezer struct {
	sets       parameterSets
	lengthSize int
	references references
	pps        *PPS // of the last slice
	sps        *SPS
	bottom     int
	pictures   int
	err        error

	made           int       // number of freeze frames made since the last Follow
	roundLength    int       // number of freeze frames before numbering restarts; 0 means maxRound
	skipData       []byte    // slice data with CABAC; nil if not yet made
	firstTarget    reference // the frame that the first freeze frame repeats
	targetIsNewest bool      // firstTarget is the first in a decoder's default reference list
}

// NewFreezer returns a Freezer for a stream with the configuration c.
func NewFreezer(c AVCConfig) *Freezer {
	f := &Freezer{lengthSize: c.LengthSize}
	for _, sets := range [][][]byte{c.SPS, c.PPS} {
		for _, nal := range sets {
			if err := f.sets.add(nal); err != nil {
				f.err = err
			}
		}
	}
	return f
}

// Follow reads the stream's next access unit. It does not retain it. If the access unit uses something
// that Freezer does not support, Ready returns the reason until the next IDR frame.
func (f *Freezer) Follow(au []byte) {
	f.made, f.skipData = 0, nil
	first := true
	for rest := au; len(rest) > 0; {
		nal, next, err := NextNAL(rest, f.lengthSize)
		if err != nil {
			f.err = err
			return
		}
		rest = next
		switch NALType(nal) {
		case NALSPS, NALPPS:
			if err := f.sets.add(nal); err != nil {
				f.err = err
			}
		case NALPartA, NALPartB, NALPartC:
			f.err = noFreezeError("data partitions")
		case NALSlice, NALIDR:
			if first {
				f.followPicture(nal)
				first = false
			} else if f.err == nil {
				f.err = f.followSlice(nal)
			}
		}
	}
}

// followSlice reads a further slice of a frame. The slice may use another PPS than the first, but must
// use the same SPS.
func (f *Freezer) followSlice(nal []byte) error {
	_, pps, sps, err := f.sets.slicePPS(&bitReader{data: nal[1:], nal: true})
	switch {
	case err != nil:
		return err
	case sps != f.sps:
		return noFreezeError("two sequence parameter sets in one picture")
	case pps.SliceGroups > 1:
		return noFreezeError("flexible macroblock order")
	}
	f.pps = pps
	return nil
}

// followPicture reads the first slice of a frame.
func (f *Freezer) followPicture(nal []byte) {
	h, err := f.sets.parseSlice(nal)
	if h.idr {
		f.err, f.pictures = nil, 0
	}
	if err == nil {
		err = checkSupported(&h)
	}
	if err == nil && f.err == nil {
		err = f.references.add(&h)
	}
	if err != nil {
		f.err = err
		return
	}
	f.pps, f.sps, f.bottom = h.pps, h.sps, h.bottom
	f.pictures++
}

// checkSupported returns an error if no freeze frame can follow a frame with slice header h.
func checkSupported(h *sliceHeader) error {
	const (
		constrainedIntra = 44
		mostMBs          = 139264 // of the highest level
	)
	s := h.sps
	switch {
	case h.field:
		return noFreezeError("fields")
	case h.pps.SliceGroups > 1:
		return noFreezeError("flexible macroblock order")
	case s.SeparatePlanes:
		return noFreezeError("separate colour planes")
	case s.POCType == 1:
		return noFreezeError("picture order count type 1")
	case h.longTerm:
		return noFreezeError("long-term references")
	case s.WidthMBs*s.HeightMBs() > mostMBs:
		return noFreezeError("a picture larger than any level allows")
	case s.MaxRefFrames == 0, s.Profile == constrainedIntra, s.Profile >= 110 && s.Constraints&constraintSet3 != 0:
		return noFreezeError("no references allowed")
	}
	return nil
}

// Ready returns nil if a freeze frame can follow the access unit last passed to Follow, otherwise an
// error with the reason.
func (f *Freezer) Ready() error {
	if f.err != nil {
		return f.err
	}
	last, _ := f.references.last()
	switch {
	case f.pictures == 0 || f.references.count == 0:
		return noFreezeError("no picture received")
	case last.poc < f.references.highestPOC:
		return noFreezeError("the last picture is not a reference")
	case f.lengthSize != 4:
		return noFreezeError("NAL unit lengths of other than 4 bytes")
	}
	return nil
}

// Next returns the next freeze frame as an access unit with 4-byte lengths. It returns nil if Ready
// returns an error.
func (f *Freezer) Next() []byte {
	if f.Ready() != nil {
		return nil
	}
	if f.made == 0 {
		f.firstTarget, f.targetIsNewest = f.references.last()
	}
	f.made++
	return f.makeFrame(f.positionOf(f.made))
}

// Count returns the number of freeze frames made since the last Follow.
func (f *Freezer) Count() int { return f.made }

// makeFrame returns the freeze frame at the given position.
func (f *Freezer) makeFrame(at position) []byte {
	w := &bitWriter{}
	f.writeHeader(w, at)
	if mbs := f.sps.WidthMBs * f.sps.HeightMBs(); f.pps.CABAC {
		for w.free > 0 {
			w.u(1, 1) // cabac_alignment_one_bit
		}
		if f.skipData == nil {
			f.skipData = skippedSliceData(mbs, f.sps.MBAFF)
		}
		w.out = append(w.out, f.skipData...)
	} else {
		w.int(mbs) // mb_skip_run
		w.u(1, 1)  // rbsp_stop_one_bit
	}
	const reference = 2 // nal_ref_idc
	return AppendNAL(nil, appendEscaped([]byte{reference<<5 | NALSlice}, w.out))
}

// writeHeader writes a slice header (ITU-T H.264, 7.3.3).
func (f *Freezer) writeHeader(w *bitWriter, at position) {
	const allP = 5
	s, p := f.sps, f.pps
	most := 1 << s.Log2MaxFrameNum
	before, order := f.references.frameNum, f.references.highestPOC
	if at.afterRound { // see references.reset
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
	moved := at.n == 1 && !at.afterRound && !f.targetIsNewest
	w.flag(moved)
	if moved {
		w.int(0)
		w.int((frameNum-f.firstTarget.frameNum+most)%most - 1)
		w.int(3)
	}
	f.writeWeightsAndMarking(w, at.lastOfRound)
}

func (f *Freezer) writeWeightsAndMarking(w *bitWriter, last bool) {
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
