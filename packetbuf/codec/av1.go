package codec

import "fmt"

// AV1Config is the fixed part of an AV1CodecConfigurationRecord, "av1C". It does not include the
// sequence header that follows.
type AV1Config struct {
	Profile  int
	Level    int // seq_level_idx_0
	HighTier bool
	BitDepth int
}

// ParseAV1Config reads an av1C.
func ParseAV1Config(b []byte) (AV1Config, error) {
	if len(b) < 4 || b[0] != 0x81 {
		return AV1Config{}, malformed("av1C: header")
	}
	c := AV1Config{
		Profile: int(b[1] >> 5), Level: int(b[1] & 0x1f), HighTier: b[2]&0x80 != 0, BitDepth: 8,
	}
	switch b[2] >> 5 & 3 { // high_bitdepth, twelve_bit
	case 2:
		c.BitDepth = 10
	case 3:
		c.BitDepth = 12
	}
	return c, nil
}

// RFC6381 returns the codec string, such as av01.0.04M.08 (AV1 Codec ISO Media File Format Binding).
func (c AV1Config) RFC6381() string {
	tier := 'M'
	if c.HighTier {
		tier = 'H'
	}
	return fmt.Sprintf("av01.%d.%02d%c.%02d", c.Profile, c.Level, tier, c.BitDepth)
}

// Types of OBU (AV1 Bitstream, 6.2.2).
const (
	obuSequenceHeader    = 1
	obuTemporalDelimiter = 2
	obuFrameHeader       = 3
	obuFrame             = 6
)

// AV1SequenceHeader returns the sequence header OBU of a temporal unit, or nil if it contains none. The
// OBUs must have size fields. rest is the unit without temporal delimiters, as files and FLV carry it.
func AV1SequenceHeader(unit []byte) (header, rest []byte, err error) {
	for len(unit) > 0 {
		one, next, err := nextOBU(unit)
		if err != nil {
			return nil, nil, err
		}
		unit = next
		if one.kind == obuSequenceHeader {
			header = one.whole
		}
		if one.kind != obuTemporalDelimiter {
			rest = append(rest, one.whole...)
		}
	}
	return header, rest, nil
}

// AV1HasKey reports whether a temporal unit contains a key frame. The OBUs must have size fields. A
// sequence header is not sufficient, because it may also precede other frames.
func AV1HasKey(unit []byte) bool {
	key, _ := av1Key(unit)
	return key
}

// av1Key implements AV1HasKey. whole is false if the unit cannot be parsed up to its key frame or, if it
// has none, up to its end.
func av1Key(unit []byte) (key, whole bool) {
	for len(unit) > 0 {
		one, next, err := nextOBU(unit)
		if err != nil {
			return false, false
		}
		// The header begins with show_existing_frame and frame_type; a key frame has 0 in all 3 bits.
		frame := one.kind == obuFrameHeader || one.kind == obuFrame
		if frame && len(one.payload) > 0 && one.payload[0]&0xe0 == 0 {
			return true, true
		}
		unit = next
	}
	return false, true
}

// obu is one OBU. Both slices alias the temporal unit.
type obu struct {
	kind           byte
	whole, payload []byte
}

// nextOBU returns the first OBU of a temporal unit and the rest of the unit.
func nextOBU(unit []byte) (one obu, rest []byte, err error) {
	at := 1
	if unit[0]&4 != 0 { // extension
		at++
	}
	if unit[0]&2 == 0 || len(unit) <= at {
		return obu{}, nil, malformed("OBU: without its size")
	}
	size, n := leb128(unit[at:])
	if at += n; n == 0 || size > uint64(len(unit)-at) { //nolint:gosec // not negative
		return obu{}, nil, malformed("OBU: cut short")
	}
	end := at + int(size) //nolint:gosec // within the unit
	return obu{unit[0] >> 3 & 0xf, unit[:end:end], unit[at:end:end]}, unit[end:], nil
}

// leb128 reads a leb128 number of at most 8 bytes at the start of b. It returns the number and its length
// in bytes, or a length of 0 if b does not begin with one.
func leb128(b []byte) (v uint64, n int) {
	for i := 0; i < len(b) && i < 8; i++ {
		v |= uint64(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			return v, i + 1
		}
	}
	return 0, 0
}

// NewAV1Config returns an av1C for a sequence header OBU, which it appends to the fixed part.
func NewAV1Config(obu []byte) ([]byte, error) {
	s, err := parseAV1Sequence(obu)
	if err != nil {
		return nil, err
	}
	flag := func(v bool, at int) byte {
		if v {
			return 1 << at
		}
		return 0
	}
	third := flag(s.highTier, 7) | flag(s.highBitDepth, 6) | flag(s.twelveBit, 5) | flag(s.monochrome, 4) |
		flag(s.subsamplingX, 3) | flag(s.subsamplingY, 2) | byte(s.chromaPosition)
	return append([]byte{0x81, byte(s.profile)<<5 | byte(s.level), third, 0}, obu...), nil //nolint:gosec // 3 and 5 bits
}

// parseAV1Sequence reads a sequence header OBU with a size field.
func parseAV1Sequence(obu []byte) (av1Sequence, error) {
	at := 1
	if len(obu) > 1 && obu[0]&4 != 0 {
		at++
	}
	if len(obu) <= at || obu[0]>>3&0xf != obuSequenceHeader || obu[0]&2 == 0 {
		return av1Sequence{}, malformed("sequence header: cut short or of another type")
	}
	_, n := leb128(obu[at:])
	r := &bitReader{data: obu[min(len(obu), at+n):]}
	s := readAV1Sequence(r)
	if n == 0 || r.short {
		return av1Sequence{}, malformed("sequence header: cut short")
	}
	return s, nil
}

// av1Size returns the largest frame size, in pixels, that the sequence header in an av1C allows. It
// returns zeros if the av1C contains no readable sequence header.
func av1Size(record []byte) (width, height int) {
	const fixed = 4
	if len(record) <= fixed {
		return 0, 0
	}
	s, err := parseAV1Sequence(record[fixed:])
	if err != nil {
		return 0, 0
	}
	return s.width, s.height
}

// av1Sequence holds the fields of a sequence header that the relay uses.
type av1Sequence struct {
	width, height                                                             int
	profile, level, chromaPosition                                            uint32
	highTier, highBitDepth, twelveBit, monochrome, subsamplingX, subsamplingY bool
}

// readAV1Sequence reads a sequence header (AV1 Bitstream, 5.5.1) up to its color_config.
func readAV1Sequence(r *bitReader) (s av1Sequence) {
	s.profile = r.u(3)
	r.u(1) // still_picture
	if reduced := r.flag(); reduced {
		s.level = r.u(5)
		s.readSize(r)
		r.u(3) // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
	} else {
		readAV1OperatingPoints(r, &s)
		s.readSize(r)
		readAV1Tools(r)
	}
	r.u(3) // enable_superres, enable_cdef, enable_restoration
	s.readColour(r)
	return s
}

// readAV1OperatingPoints reads the timing and the operating points. It stores the level and the tier of
// the first operating point in s.
func readAV1OperatingPoints(r *bitReader, s *av1Sequence) {
	decoderModel, delayLength := false, 0
	if r.flag() { // timing_info_present_flag
		r.skip(64)
		if r.flag() { // equal_picture_interval
			r.ue() // uvlc has the form of ue(v)
		}
		if decoderModel = r.flag(); decoderModel {
			delayLength = int(r.u(5)) + 1
			r.skip(42)
		}
	}
	delay := r.flag() // initial_display_delay_present_flag
	for i := range int(r.u(5)) + 1 {
		r.u(12) // operating_point_idc
		level, tier := r.u(5), false
		if level > 7 {
			tier = r.flag()
		}
		if i == 0 {
			s.level, s.highTier = level, tier
		}
		if decoderModel && r.flag() {
			r.skip(2*delayLength + 1)
		}
		if delay && r.flag() {
			r.u(4)
		}
		if r.short {
			return
		}
	}
}

func (s *av1Sequence) readSize(r *bitReader) {
	width, height := int(r.u(4))+1, int(r.u(4))+1 // bits
	s.width, s.height = int(r.u(width))+1, int(r.u(height))+1
}

// readAV1Tools skips the frame IDs and coding tools of a sequence header that is not reduced.
func readAV1Tools(r *bitReader) {
	if r.flag() { // frame_id_numbers_present_flag
		r.u(7)
	}
	r.u(3) // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
	r.u(4) // enable_interintra_compound, enable_masked_compound, enable_warped_motion, enable_dual_filter
	order := r.flag()
	if order {
		r.u(2) // enable_jnt_comp, enable_ref_frame_mvs
	}
	const selectTools = 2
	screen := uint32(selectTools)
	if !r.flag() { // seq_choose_screen_content_tools
		screen = r.u(1)
	}
	if screen > 0 && !r.flag() { // seq_choose_integer_mv
		r.u(1)
	}
	if order {
		r.u(3)
	}
}

// readColour reads color_config (AV1 Bitstream, 5.5.2).
func (s *av1Sequence) readColour(r *bitReader) {
	s.highBitDepth = r.flag()
	if s.profile == 2 && s.highBitDepth {
		s.twelveBit = r.flag()
	}
	if s.profile != 1 {
		s.monochrome = r.flag()
	}
	primaries, transfer, matrix := uint32(2), uint32(2), uint32(2)
	if r.flag() {
		primaries, transfer, matrix = r.u(8), r.u(8), r.u(8)
	}
	switch {
	case s.monochrome:
		r.u(1)
		s.subsamplingX, s.subsamplingY = true, true
		return
	case primaries == 1 && transfer == 13 && matrix == 0: // sRGB
		return
	}
	r.u(1) // color_range
	switch {
	case s.profile == 0:
		s.subsamplingX, s.subsamplingY = true, true
	case s.profile == 1:
	case s.twelveBit:
		if s.subsamplingX = r.flag(); s.subsamplingX {
			s.subsamplingY = r.flag()
		}
	default:
		s.subsamplingX = true
	}
	if s.subsamplingX && s.subsamplingY {
		s.chromaPosition = r.u(2)
	}
}
