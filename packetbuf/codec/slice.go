package codec

// Slice types (ITU-T H.264, table 7-6), modulo 5.
const (
	sliceP  = 0
	sliceB  = 1
	sliceI  = 2
	sliceSP = 3
	sliceSI = 4
)

// sliceHeader holds the fields of a slice header that determine the order of frames and the state of the
// references (ITU-T H.264, 7.3.3).
type sliceHeader struct {
	kind        int // slice type modulo 5
	refIDC      int
	idr         bool
	pps         *PPS
	sps         *SPS
	frameNum    int
	field       bool
	bottomField bool
	idrPicID    uint32
	redundant   uint32 // redundant_pic_cnt
	pocLSB      int    // of POC type 0
	bottom      int    // delta_pic_order_cnt_bottom
	longTerm    bool
	marks       [maxMarks]unusedMark
	numMarks    int
	resetsOrder bool // memory_management_control_operation 5
}

// unusedMark is a memory_management_control_operation that marks a reference as unused. difference is the
// distance of the reference's frame_num from that of the marking frame.
type unusedMark struct{ difference int }

// maxMarks bounds the marks of one slice header. It exceeds the number of references that a frame can
// remove.
const maxMarks = 64

// parameterSets holds the parameter sets in force, indexed by ID.
type parameterSets struct {
	sps [32]*SPS
	pps [256]*PPS
}

// add stores a parameter set and ignores other NAL units.
func (s *parameterSets) add(nal []byte) error {
	switch NALType(nal) {
	case NALSPS:
		sps, err := ParseSPS(nal)
		if err != nil {
			return err
		}
		s.sps[sps.ID] = &sps
	case NALPPS:
		pps, err := ParsePPS(nal)
		if err != nil {
			return err
		}
		s.pps[pps.ID] = &pps
	}
	return nil
}

// slicePPS reads a slice header up to the ID of its PPS. It returns the slice type modulo 5, that PPS and
// its SPS.
func (s *parameterSets) slicePPS(r *bitReader) (kind int, pps *PPS, sps *SPS, err error) {
	r.ue() // first_mb_in_slice
	kind = int(r.ue() % 5)
	id := r.ue()
	if r.short || id > 255 || s.pps[id] == nil || s.sps[s.pps[id].SPS] == nil {
		return 0, nil, nil, malformed("slice: no such parameter set")
	}
	return kind, s.pps[id], s.sps[s.pps[id].SPS], nil
}

// parseSlice reads the header of a slice NAL unit. It reads the header of a frame's slice up to the
// marking of references, that of a field's slice only up to redundant_pic_cnt.
func (s *parameterSets) parseSlice(nal []byte) (h sliceHeader, err error) {
	r := &bitReader{data: nal[1:], nal: true}
	h.refIDC, h.idr = NALRefIDC(nal), NALType(nal) == NALIDR
	if h.kind, h.pps, h.sps, err = s.slicePPS(r); err != nil {
		return h, err
	}
	if h.sps.SeparatePlanes {
		r.u(2) // colour_plane_id
	}
	h.frameNum = int(r.u(h.sps.Log2MaxFrameNum))
	if !h.sps.FrameMBsOnly {
		if h.field = r.flag(); h.field {
			h.bottomField = r.flag()
		}
	}
	if h.idr {
		h.idrPicID = r.ue()
	}
	h.readOrder(r)
	if h.pps.RedundantPicPresent {
		h.redundant = r.ue()
	}
	if h.field || h.pps.SliceGroups > 1 {
		return h, nil // the rest is not used
	}
	if h.refIDC != 0 {
		h.readLists(r)
		h.readMarking(r)
	}
	if r.short {
		return h, malformed("slice: header cut short")
	}
	return h, nil
}

func (h *sliceHeader) readOrder(r *bitReader) {
	switch h.sps.POCType {
	case 0:
		h.pocLSB = int(r.u(h.sps.Log2MaxPOCLSB))
		if h.pps.BottomPOC && !h.field {
			h.bottom = int(r.se())
		}
	case 1:
		if !h.sps.DeltaPOCAlwaysZero {
			r.se()
			if h.pps.BottomPOC && !h.field {
				r.se()
			}
		}
	}
}

// readLists skips the reference lists and their weights.
func (h *sliceHeader) readLists(r *bitReader) {
	if h.kind == sliceB {
		r.u(1) // direct_spatial_mv_pred_flag
	}
	refs := [2]int{h.pps.RefsL0, h.pps.RefsL1}
	if h.kind == sliceI || h.kind == sliceSI {
		return
	}
	if r.flag() { // num_ref_idx_active_override_flag
		refs[0] = int(r.ue()) + 1
		if h.kind == sliceB {
			refs[1] = int(r.ue()) + 1
		}
	}
	lists := 1
	if h.kind == sliceB {
		lists = 2
	}
	if refs[0] > maxRefs || refs[1] > maxRefs {
		r.short = true
		return
	}
	for range lists {
		if r.flag() {
			skipModification(r)
		}
	}
	if h.pps.WeightedPred && (h.kind == sliceP || h.kind == sliceSP) || h.pps.WeightedBipred == 1 && h.kind == sliceB {
		h.skipWeights(r, refs[:lists])
	}
}

// skipModification skips ref_pic_list_modification.
func skipModification(r *bitReader) {
	for range 2*maxRefs + 1 {
		op := r.ue()
		if op == 3 || r.short {
			return
		}
		r.ue()
	}
	r.short = true
}

// skipWeights skips pred_weight_table.
func (h *sliceHeader) skipWeights(r *bitReader, refs []int) {
	chroma := h.sps.ChromaFormat != 0 && !h.sps.SeparatePlanes
	r.ue()
	if chroma {
		r.ue()
	}
	for _, n := range refs {
		for range n {
			if r.flag() {
				r.se()
				r.se()
			}
			if chroma && r.flag() {
				for range 4 {
					r.se()
				}
			}
		}
	}
}

// readMarking reads dec_ref_pic_marking.
func (h *sliceHeader) readMarking(r *bitReader) {
	if h.idr {
		r.u(1) // no_output_of_prior_pics_flag
		h.longTerm = r.flag()
		return
	}
	if !r.flag() {
		h.numMarks = -1 // sliding window
		return
	}
	for !r.short {
		switch r.ue() {
		case 0:
			return
		case 1:
			if h.numMarks == maxMarks {
				r.short = true
				return
			}
			h.marks[h.numMarks] = unusedMark{int(r.ue()) + 1}
			h.numMarks++
		case 4:
			h.longTerm = h.longTerm || r.ue() != 0
		case 5:
			h.resetsOrder = true
		default:
			h.longTerm = true
			return
		}
	}
}
