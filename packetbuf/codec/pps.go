package codec

// PPS holds the fields of an H.264 picture parameter set that the relay uses (ITU-T H.264, 7.3.2.2).
type PPS struct {
	ID, SPS             int
	CABAC               bool
	BottomPOC           bool // bottom_field_pic_order_in_frame_present_flag
	SliceGroups         int  // more than one means flexible macroblock order
	RefsL0, RefsL1      int  // default number of references of a slice
	WeightedPred        bool
	WeightedBipred      int // 0 default, 1 explicit, 2 implicit
	InitQP              int
	DeblockingControl   bool // slice headers contain deblocking parameters
	RedundantPicPresent bool
}

// maxRefs is the largest number of entries in a reference list, which only a list of fields can reach.
const maxRefs = 32

// ParsePPS reads a PPS NAL unit, including its header byte. If the PPS has several slice groups, ParsePPS
// reads only up to their number.
func ParsePPS(nal []byte) (PPS, error) {
	if NALType(nal) != NALPPS {
		return PPS{}, malformed("PPS: not a PPS NAL unit")
	}
	r := &bitReader{data: nal[1:], nal: true}
	id, sps := r.ue(), r.ue()
	if id > 255 || sps > 31 {
		return PPS{}, malformedf("PPS: id %d of SPS %d", id, sps)
	}
	p := PPS{ID: int(id), SPS: int(sps), CABAC: r.flag(), BottomPOC: r.flag()}
	groups := r.ue()
	if groups > 7 {
		return PPS{}, malformedf("PPS: %d slice groups", groups)
	}
	if p.SliceGroups = int(groups) + 1; groups > 0 {
		return p, nil
	}
	l0, l1 := r.ue(), r.ue()
	if l0 >= maxRefs || l1 >= maxRefs {
		return PPS{}, malformed("PPS: number of references")
	}
	p.RefsL0, p.RefsL1 = int(l0)+1, int(l1)+1
	p.WeightedPred, p.WeightedBipred = r.flag(), int(r.u(2))
	p.InitQP = 26 + int(r.se())
	r.se() // pic_init_qs_minus26
	r.se() // chroma_qp_index_offset
	p.DeblockingControl = r.flag()
	r.u(1) // constrained_intra_pred_flag
	p.RedundantPicPresent = r.flag()
	if r.short || p.InitQP < 26-62 || p.InitQP > 51 {
		return PPS{}, malformed("PPS: cut short, or its quantiser out of range")
	}
	return p, nil
}
