package codec

// sampleAspectRatios lists the sample aspect ratios by aspect_ratio_idc (ITU-T H.264, table E-1).
var sampleAspectRatios = [...][2]int{
	{0, 0},
	{1, 1},
	{12, 11},
	{10, 11},
	{16, 11},
	{40, 33},
	{24, 11},
	{20, 11},
	{32, 11},
	{80, 33},
	{18, 11},
	{15, 11},
	{64, 33},
	{160, 99},
	{4, 3},
	{3, 2},
	{2, 1},
}

// readVUI reads the aspect ratio, the timing and the reordering from the VUI (ITU-T H.264, annex E). It
// keeps each of them only if the SPS contains it completely.
func (s *SPS) readVUI(r *bitReader) {
	if r.flag() {
		s.readAspect(r)
	}
	if r.flag() { // overscan_info_present_flag
		r.u(1)
	}
	if r.flag() { // video_signal_type_present_flag
		r.u(4)
		if r.flag() { // colour_description_present_flag
			r.u(24)
		}
	}
	if r.flag() { // chroma_loc_info_present_flag
		r.ue()
		r.ue()
	}
	if r.flag() { // timing_info_present_flag
		units, scale, fixed := r.u(32), r.u(32), r.flag()
		if !r.short && units > 0 && scale > 0 {
			s.UnitsInTick, s.TimeScale, s.FixedFrameRate = units, scale, fixed
		}
	}
	nal := r.flag()
	if nal {
		skipHRD(r)
	}
	vcl := r.flag()
	if vcl {
		skipHRD(r)
	}
	if nal || vcl {
		r.u(1) // low_delay_hrd_flag
	}
	r.u(1) // pic_struct_present_flag
	if r.flag() {
		r.u(1) // motion_vectors_over_pic_boundaries_flag
		r.ue()
		r.ue()
		r.ue()
		r.ue()
		reorder := r.ue()
		if !r.short && reorder <= 16 {
			s.NumReorder = int(reorder)
		}
	}
}

func (s *SPS) readAspect(r *bitReader) {
	const extended = 255
	idc := r.u(8)
	w, h := 0, 0
	switch {
	case idc == extended:
		w, h = int(r.u(16)), int(r.u(16))
	case int(idc) < len(sampleAspectRatios):
		w, h = sampleAspectRatios[idc][0], sampleAspectRatios[idc][1]
	}
	if !r.short && w > 0 && h > 0 {
		s.SARWidth, s.SARHeight = w, h
	}
}

func skipHRD(r *bitReader) {
	count := r.ue()
	r.u(8)
	for i := uint32(0); i <= count && i < 32 && !r.short; i++ {
		r.ue()
		r.ue()
		r.u(1)
	}
	r.u(20)
}
