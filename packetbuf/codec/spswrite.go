package codec

// NAL returns the SPS as a NAL unit. It writes only what SPS has fields for: no scaling lists, no
// buffering model, and POC type 1 without a cycle. It sets the cropping to Width and Height at the right
// and at the bottom.
func (s SPS) NAL() []byte {
	w := &bitWriter{}
	w.u(8, uint32(s.Profile))
	w.u(8, uint32(s.Constraints))
	w.u(8, uint32(s.Level))
	w.int(s.ID)
	if hasChromaFormat(s.Profile) {
		w.int(s.ChromaFormat)
		if s.ChromaFormat == 3 {
			w.flag(s.SeparatePlanes)
		}
		w.int(s.BitDepthLuma - 8)
		w.int(s.BitDepthChroma - 8)
		w.u(2, 0)
	}
	w.int(s.Log2MaxFrameNum - 4)
	w.int(s.POCType)
	switch s.POCType {
	case 0:
		w.int(s.Log2MaxPOCLSB - 4)
	case 1:
		w.flag(s.DeltaPOCAlwaysZero)
		w.u(3, 0b111) // both offsets 0, no cycle
	}
	w.int(s.MaxRefFrames)
	w.flag(s.GapsInFrameNum)
	s.writeSize(w)
	s.writeVUI(w)
	w.u(1, 1) // rbsp_stop_one_bit
	return appendEscaped([]byte{3<<5 | NALSPS}, w.out)
}

func (s SPS) writeSize(w *bitWriter) {
	w.int(s.WidthMBs - 1)
	w.int(s.HeightMapUnits - 1)
	w.flag(s.FrameMBsOnly)
	if !s.FrameMBsOnly {
		w.flag(s.MBAFF)
	}
	w.flag(s.Direct8x8)
	unitX, unitY := s.cropUnits()
	right, bottom := (16*s.WidthMBs-s.Width)/unitX, (16*s.HeightMBs()-s.Height)/unitY
	w.flag(right > 0 || bottom > 0)
	if right > 0 || bottom > 0 {
		w.int(0)
		w.int(right)
		w.int(0)
		w.int(bottom)
	}
}

func (s SPS) writeVUI(w *bitWriter) {
	const extended = 255
	aspect := s.SARWidth > 0 && s.SARHeight > 0
	timing := s.UnitsInTick > 0 && s.TimeScale > 0
	w.flag(aspect || timing || s.NumReorder >= 0)
	if !aspect && !timing && s.NumReorder < 0 {
		return
	}
	w.flag(aspect)
	if aspect {
		w.u(8, extended)
		w.u(16, uint32(s.SARWidth))  //nolint:gosec // 16 bits are written
		w.u(16, uint32(s.SARHeight)) //nolint:gosec // 16 bits are written
	}
	w.u(3, 0) // overscan, video signal type, chroma location
	w.flag(timing)
	if timing {
		w.u(32, s.UnitsInTick)
		w.u(32, s.TimeScale)
		w.flag(s.FixedFrameRate)
	}
	w.u(3, 0) // no buffering models, no pic_struct
	w.flag(s.NumReorder >= 0)
	if s.NumReorder >= 0 {
		w.flag(true) // motion_vectors_over_pic_boundaries_flag
		w.int(0)     // max_bytes_per_pic_denom: no bound
		w.int(0)     // max_bits_per_mb_denom: no bound
		w.int(16)
		w.int(16)
		w.int(s.NumReorder)
		w.int(max(s.MaxRefFrames, s.NumReorder))
	}
}

// cropUnits returns the horizontal and vertical units of cropping in pixels (ITU-T H.264, 7.4.2.1.1).
func (s SPS) cropUnits() (x, y int) {
	x, y = 1, 1
	if !s.SeparatePlanes && (s.ChromaFormat == 1 || s.ChromaFormat == 2) {
		x = 2
	}
	if !s.SeparatePlanes && s.ChromaFormat == 1 {
		y = 2
	}
	if !s.FrameMBsOnly {
		y *= 2
	}
	return x, y
}

// appendEscaped appends raw with emulation prevention bytes (ITU-T H.264, 7.4.1).
func appendEscaped(dst, raw []byte) []byte {
	zeros := 0
	for _, b := range raw {
		if zeros >= 2 && b <= 3 {
			dst = append(dst, 3)
			zeros = 0
		}
		dst = append(dst, b)
		if b == 0 {
			zeros++
		} else {
			zeros = 0
		}
	}
	return dst
}
