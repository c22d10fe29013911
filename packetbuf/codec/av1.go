package codec

import "fmt"

// AV1Config is the fixed part of an AV1CodecConfigurationRecord, "av1C"; the sequence
// header behind it is not read.
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

// RFC6381 is the codec string of AV1's ISO media format binding, such as av01.0.04M.08.
func (c AV1Config) RFC6381() string {
	tier := 'M'
	if c.HighTier {
		tier = 'H'
	}
	return fmt.Sprintf("av01.%d.%02d%c.%02d", c.Profile, c.Level, tier, c.BitDepth)
}
