package codec

import (
	"fmt"
	"math/bits"
	"strings"
)

// HEVCConfig is the fixed part of an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15,
// 8.3.3.1), "hvcC". It does not include the parameter sets that follow.
type HEVCConfig struct {
	ProfileSpace  int // 0 to 3
	HighTier      bool
	Profile       int
	Compatibility uint32
	Constraints   [6]byte
	Level         int // 30 times the level's number
	LengthSize    int
}

// ParseHEVCConfig reads an hvcC.
func ParseHEVCConfig(b []byte) (HEVCConfig, error) {
	// Version 0 was written before the standard was final; it has the same layout.
	if len(b) < 23 || b[0] > 1 {
		return HEVCConfig{}, malformed("hvcC: header")
	}
	c := HEVCConfig{
		ProfileSpace: int(b[1] >> 6), HighTier: b[1]&0x20 != 0, Profile: int(b[1] & 0x1f),
		Compatibility: uint32(b[2])<<24 | uint32(b[3])<<16 | uint32(b[4])<<8 | uint32(b[5]),
		Constraints:   [6]byte(b[6:12]), Level: int(b[12]), LengthSize: int(b[21]&3) + 1,
	}
	if c.LengthSize == 3 {
		return HEVCConfig{}, malformed("hvcC: NAL unit lengths of 3 bytes")
	}
	return c, nil
}

// RFC6381 returns the codec string (ISO/IEC 14496-15, annex E), such as hvc1.1.6.L93.B0.
func (c HEVCConfig) RFC6381() string {
	tier := "L"
	if c.HighTier {
		tier = "H"
	}
	var s strings.Builder
	s.WriteString("hvc1.")
	if c.ProfileSpace > 0 {
		s.WriteByte("ABC"[c.ProfileSpace-1])
	}
	fmt.Fprintf(&s, "%d.%X.%s%d", c.Profile, bits.Reverse32(c.Compatibility), tier, c.Level)
	last := len(c.Constraints)
	for last > 0 && c.Constraints[last-1] == 0 {
		last--
	}
	for _, b := range c.Constraints[:last] {
		fmt.Fprintf(&s, ".%X", b)
	}
	return s.String()
}
