package codec

import (
	"bytes"
	"encoding/binary"
)

// AVCConfig is an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1), "avcC".
type AVCConfig struct {
	Profile       byte // profile_idc
	Compatibility byte // the constraint flags
	Level         byte // level_idc
	LengthSize    int  // size of the length prefix of NAL units, in bytes: 1, 2 or 4
	SPS           [][]byte
	PPS           [][]byte
	// Extension holds the fields after the parameter sets, which only the High profiles have: chroma
	// format, bit depths and SPS extensions. It may be empty even for these profiles.
	Extension []byte
}

// ParseAVCConfig reads an avcC. The parameter sets alias b.
func ParseAVCConfig(b []byte) (AVCConfig, error) {
	if len(b) < 7 || b[0] != 1 {
		return AVCConfig{}, malformed("avcC: header")
	}
	c := AVCConfig{Profile: b[1], Compatibility: b[2], Level: b[3], LengthSize: int(b[4]&3) + 1}
	if c.LengthSize == 3 {
		return AVCConfig{}, malformed("avcC: NAL unit lengths of 3 bytes")
	}
	var err error
	rest := b[6:]
	if c.SPS, rest, err = readParameterSets(rest, int(b[5]&0x1f), NALSPS); err != nil {
		return AVCConfig{}, err
	}
	if len(rest) < 1 {
		return AVCConfig{}, malformed("avcC: no picture parameter sets")
	}
	if c.PPS, rest, err = readParameterSets(rest[1:], int(rest[0]), NALPPS); err != nil {
		return AVCConfig{}, err
	}
	if len(rest) > 0 {
		c.Extension = rest
	}
	return c, nil
}

func readParameterSets(b []byte, count, nalType int) (sets [][]byte, rest []byte, err error) {
	for range count {
		var nal []byte
		if nal, b, err = NextNAL(b, 2); err != nil {
			return nil, nil, err
		}
		if NALType(nal) != nalType {
			return nil, nil, malformedf("avcC: NAL unit type %d instead of %d", NALType(nal), nalType)
		}
		sets = append(sets, nal)
	}
	return sets, b, nil
}

// NewAVCConfig returns a configuration with these parameter sets, for access units with 4-byte lengths.
// Profile and level are those of the first SPS.
func NewAVCConfig(sps, pps [][]byte) (AVCConfig, error) {
	if len(sps) == 0 || len(sps) > 31 || len(pps) > 255 || len(sps[0]) < 4 {
		return AVCConfig{}, malformedf("avcC of %d SPS and %d PPS", len(sps), len(pps))
	}
	c := AVCConfig{
		Profile: sps[0][1], Compatibility: sps[0][2], Level: sps[0][3],
		LengthSize: 4, SPS: sps, PPS: pps,
	}
	s, err := ParseSPS(sps[0])
	if err != nil {
		return AVCConfig{}, err
	}
	if hasChromaFormat(s.Profile) {
		c.Extension = []byte{
			0xfc | byte(s.ChromaFormat), 0xf8 | byte(s.BitDepthLuma-8), 0xf8 | byte(s.BitDepthChroma-8), 0, //nolint:gosec // a few bits each, as parsed
		}
	}
	return c, nil
}

// Append appends the record to dst. It requires at most 31 SPS and 255 PPS of at most 65,535 bytes each,
// as ParseAVCConfig and NewAVCConfig return them.
func (c AVCConfig) Append(dst []byte) []byte {
	dst = append(dst, 1, c.Profile, c.Compatibility, c.Level, 0xfc|byte(c.LengthSize-1), 0xe0|byte(len(c.SPS))) //nolint:gosec // at most 31, see NewAVCConfig
	dst = appendParameterSets(dst, c.SPS)
	dst = append(dst, byte(len(c.PPS))) //nolint:gosec // at most 255, see NewAVCConfig
	dst = appendParameterSets(dst, c.PPS)
	return append(dst, c.Extension...)
}

func appendParameterSets(dst []byte, sets [][]byte) []byte {
	for _, s := range sets {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(s))) //nolint:gosec // see Append
		dst = append(dst, s...)
	}
	return dst
}

// AppendParameterSets appends the SPS and PPS to au as NAL units with 4-byte lengths, for use in band
// before an IDR picture.
func (c AVCConfig) AppendParameterSets(au []byte) []byte {
	for _, s := range c.SPS {
		au = AppendNAL(au, s)
	}
	for _, s := range c.PPS {
		au = AppendNAL(au, s)
	}
	return au
}

// Equal reports whether two records configure a decoder alike.
func (c AVCConfig) Equal(o AVCConfig) bool {
	return bytes.Equal(c.Append(nil), o.Append(nil))
}
