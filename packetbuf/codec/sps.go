package codec

// SPS holds the fields of an H.264 sequence parameter set that the relay uses (ITU-T H.264,
// 7.3.2.1.1).
type SPS struct {
	Profile, Constraints, Level byte

	ID                           int
	ChromaFormat                 int // 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4
	SeparatePlanes               bool
	BitDepthLuma, BitDepthChroma int

	Log2MaxFrameNum     int
	POCType             int
	Log2MaxPOCLSB       int  // for POCType 0
	DeltaPOCAlwaysZero  bool // for POCType 1
	MaxRefFrames        int
	GapsInFrameNum      bool
	WidthMBs            int
	HeightMapUnits      int // in macroblocks if FrameMBsOnly, otherwise in pairs of macroblocks
	FrameMBsOnly        bool
	MBAFF               bool
	Direct8x8           bool
	Width, Height       int // in pixels, cropped
	SARWidth, SARHeight int // sample aspect ratio; 0, 0 if unspecified

	// TimeScale / (2·UnitsInTick) is the frame rate; 0 if unspecified.
	UnitsInTick, TimeScale uint32
	FixedFrameRate         bool

	// NumReorder is the largest number of frames that may precede a frame in decoding order and follow
	// it in output order; -1 if unspecified.
	NumReorder int
}

// FrameRate returns the frame rate in frames per second; 0 if the SPS does not contain it.
func (s SPS) FrameRate() float64 {
	if s.UnitsInTick == 0 || s.TimeScale == 0 {
		return 0
	}
	return float64(s.TimeScale) / (2 * float64(s.UnitsInTick))
}

// HeightMBs returns the height of a frame in macroblocks.
func (s SPS) HeightMBs() int {
	if s.FrameMBsOnly {
		return s.HeightMapUnits
	}
	return 2 * s.HeightMapUnits
}

// maxMBs bounds the width and the height of a frame in macroblocks. No level allows more than 139,264
// macroblocks, or a side longer than the square root of eight times that number.
const maxMBs = 1055

func hasChromaFormat(profile byte) bool {
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		return true
	}
	return false
}

// ParseSPS reads an SPS NAL unit, including its header byte.
func ParseSPS(nal []byte) (SPS, error) {
	if NALType(nal) != NALSPS || len(nal) < 5 {
		return SPS{}, malformed("SPS: not an SPS NAL unit")
	}
	r := &bitReader{data: nal[1:], nal: true}
	s := SPS{
		Profile: byte(r.u(8)), Constraints: byte(r.u(8)), Level: byte(r.u(8)), //nolint:gosec // 8 bits
		ChromaFormat: 1, BitDepthLuma: 8, BitDepthChroma: 8, NumReorder: -1,
	}
	id := r.ue()
	if id > 31 {
		return SPS{}, malformedf("SPS: id %d", id)
	}
	s.ID = int(id)
	if hasChromaFormat(s.Profile) {
		if err := s.readFormat(r); err != nil {
			return SPS{}, err
		}
	}
	if err := s.readOrder(r); err != nil {
		return SPS{}, err
	}
	if err := s.readSize(r); err != nil {
		return SPS{}, err
	}
	if r.short {
		return SPS{}, malformed("SPS: cut short")
	}
	// If the VUI is cut short, only its values are lost.
	if r.flag() && !r.short {
		s.readVUI(r)
	}
	return s, nil
}

func (s *SPS) readFormat(r *bitReader) error {
	chroma := r.ue()
	if chroma > 3 {
		return malformedf("SPS: chroma format %d", chroma)
	}
	s.ChromaFormat = int(chroma)
	if chroma == 3 {
		s.SeparatePlanes = r.flag()
	}
	luma, chromaDepth := r.ue(), r.ue()
	if luma > 6 || chromaDepth > 6 {
		return malformed("SPS: bit depth")
	}
	s.BitDepthLuma, s.BitDepthChroma = 8+int(luma), 8+int(chromaDepth)
	r.u(1)        // qpprime_y_zero_transform_bypass_flag
	if r.flag() { // seq_scaling_matrix_present_flag
		lists := 8
		if chroma == 3 {
			lists = 12
		}
		for i := range lists {
			if r.flag() {
				skipScalingList(r, i)
			}
		}
	}
	return nil
}

// skipScalingList skips a scaling list (ITU-T H.264, 7.3.2.1.1.1): 16 entries for the
// first six, 64 for the others.
func skipScalingList(r *bitReader, i int) {
	size := 16
	if i >= 6 {
		size = 64
	}
	last, next := int32(8), int32(8)
	for range size {
		if next != 0 {
			next = (last + r.se()) & 0xff
		}
		if next != 0 {
			last = next
		}
	}
}

// readOrder reads the fields that define the numbering of frames and their output order.
func (s *SPS) readOrder(r *bitReader) error {
	frameNum, poc := r.ue(), r.ue()
	if frameNum > 12 || poc > 2 {
		return malformed("SPS: frame_num or picture order count type")
	}
	s.Log2MaxFrameNum, s.POCType = 4+int(frameNum), int(poc)
	switch poc {
	case 0:
		lsb := r.ue()
		if lsb > 12 {
			return malformed("SPS: picture order count range")
		}
		s.Log2MaxPOCLSB = 4 + int(lsb)
	case 1:
		s.DeltaPOCAlwaysZero = r.flag()
		r.se() // offset_for_non_ref_pic
		r.se() // offset_for_top_to_bottom_field
		cycle := r.ue()
		if cycle > 255 {
			return malformed("SPS: picture order count cycle")
		}
		for range cycle {
			r.se()
		}
	}
	refs := r.ue()
	if refs > 16 {
		return malformedf("SPS: %d reference frames", refs)
	}
	s.MaxRefFrames, s.GapsInFrameNum = int(refs), r.flag()
	return nil
}

func (s *SPS) readSize(r *bitReader) error {
	width, height := r.ue(), r.ue()
	s.FrameMBsOnly = r.flag()
	if !s.FrameMBsOnly {
		s.MBAFF = r.flag()
	}
	s.Direct8x8 = r.flag()
	if width >= maxMBs || height >= maxMBs {
		return malformedf("SPS: %d by %d macroblocks", width, height)
	}
	s.WidthMBs, s.HeightMapUnits = int(width)+1, int(height)+1
	s.Width, s.Height = 16*s.WidthMBs, 16*s.HeightMBs()
	if !r.flag() {
		return nil
	}
	left, right, top, bottom := r.ue(), r.ue(), r.ue(), r.ue()
	unitX, unitY := s.cropUnits()
	cropX := uint64(unitX) * (uint64(left) + uint64(right))    //nolint:gosec // at most 4
	cropY := uint64(unitY) * (uint64(top) + uint64(bottom))    //nolint:gosec // at most 4
	if cropX >= uint64(s.Width) || cropY >= uint64(s.Height) { //nolint:gosec // both positive
		return malformed("SPS: cropped to nothing")
	}
	s.Width -= int(cropX)  //nolint:gosec // less than the width, see above
	s.Height -= int(cropY) //nolint:gosec // less than the height, see above
	return nil
}
