package codec

// VPConfig is a VPCodecConfigurationRecord (VP Codec ISO Media File Format Binding, 1.0),
// which VP8 and VP9 share. Its three colour fields are 2, unspecified.
type VPConfig struct {
	Profile, Level int // level 0 is undefined
	BitDepth       int // 8, 10 or 12
	// Subsampling is 0 or 1 for 4:2:0, 2 for 4:2:2 and 3 for 4:4:4.
	Subsampling int
	FullRange   bool
}

// Append appends the record to dst.
func (c VPConfig) Append(dst []byte) []byte {
	fullRange := byte(0)
	if c.FullRange {
		fullRange = 1
	}
	format := byte(c.BitDepth)<<4 | byte(c.Subsampling)<<1 | fullRange //nolint:gosec // a few bits each
	return append(dst, byte(c.Profile), byte(c.Level), format, 2, 2, 2, 0, 0)
}

// ParseVPConfig reads a record. The record may be preceded by version and flags, as in the vpcC box of a
// file.
func ParseVPConfig(b []byte) (VPConfig, error) {
	if len(b) >= 12 && b[0] == 1 && b[1] == 0 && b[2] == 0 && b[3] == 0 {
		b = b[4:]
	}
	if len(b) < 8 {
		return VPConfig{}, malformedf("vpcC: %d bytes", len(b))
	}
	return VPConfig{
		Profile: int(b[0]), Level: int(b[1]), BitDepth: int(b[2] >> 4), Subsampling: int(b[2] >> 1 & 7), FullRange: b[2]&1 != 0,
	}, nil
}

// ParseVP9Frame reads the header of a VP9 key frame (VP9 Bitstream, 6.2). key is false if the frame is no
// key frame or cannot be read.
func ParseVP9Frame(frame []byte) (c VPConfig, key bool) {
	r := &bitReader{data: frame}
	c, key = readVP9(r)
	return c, key && !r.short
}

// VP9Size returns the size of a VP9 key frame in pixels. It returns zeros for any other frame.
func VP9Size(frame []byte) (width, height int) {
	r := &bitReader{data: frame}
	if _, key := readVP9(r); !key {
		return 0, 0
	}
	width, height = int(r.u(16))+1, int(r.u(16))+1
	if r.short {
		return 0, 0
	}
	return width, height
}

// VP8Size returns the size of a VP8 key frame in pixels (RFC 6386, 9.1). It returns zeros for any other
// frame.
func VP8Size(frame []byte) (width, height int) {
	if len(frame) < 10 || frame[0]&1 != 0 || frame[3] != 0x9d || frame[4] != 0x01 || frame[5] != 0x2a {
		return 0, 0
	}
	return int(frame[6]) | int(frame[7]&0x3f)<<8, int(frame[8]) | int(frame[9]&0x3f)<<8
}

// readVP9 reads the header of a VP9 key frame up to, but not including, the frame size.
func readVP9(r *bitReader) (c VPConfig, key bool) {
	if r.u(2) != 2 { // frame_marker
		return c, false
	}
	c.Profile = int(r.u(1)) | int(r.u(1))<<1
	if c.Profile == 3 {
		r.u(1)
	}
	showExisting, nonKey := r.flag(), r.flag()
	if showExisting || nonKey {
		return c, false
	}
	r.u(2) // show_frame, error_resilient_mode
	if r.u(24) != 0x498342 {
		return c, false
	}
	c.BitDepth = 8
	if c.Profile >= 2 {
		c.BitDepth = 10
		if r.flag() {
			c.BitDepth = 12
		}
	}
	const rgb = 7
	odd := c.Profile == 1 || c.Profile == 3 // other than 4:2:0
	if r.u(3) == rgb {
		c.Subsampling, c.FullRange = 3, true
		if odd {
			r.u(1)
		}
		return c, true
	}
	c.Subsampling, c.FullRange = 1, r.flag()
	if odd {
		subX, subY := r.flag(), r.flag()
		r.u(1)
		switch {
		case !subX:
			c.Subsampling = 3
		case !subY:
			c.Subsampling = 2
		}
	}
	return c, true
}
