package codec

// FLAC is what a FLAC stream says of itself (RFC 9639, 8.2).
type FLAC struct {
	SampleRate int // Hz
	Channels   int // 1 to 8
	Depth      int // bits in a sample, 4 to 32
	// Block is how many samples a frame holds per channel; 0 where that varies.
	Block int
}

const (
	flacMagic      = "fLaC"
	flacStreamInfo = 34 // bytes
)

// ParseFLAC reads the head of a FLAC stream, which is its configuration: the signature and the
// STREAMINFO block. Metadata blocks behind it are not looked at.
func ParseFLAC(b []byte) (FLAC, error) {
	const head = len(flacMagic) + 4
	if len(b) < head+flacStreamInfo || string(b[:4]) != flacMagic {
		return FLAC{}, malformed("FLAC: cut short or something else")
	}
	if b[4]&0x7f != 0 || b[5] != 0 || b[6] != 0 || b[7] != flacStreamInfo {
		return FLAC{}, malformed("FLAC: does not begin with STREAMINFO")
	}
	r := &bitReader{data: b[head:]}
	least, most := int(r.u(16)), int(r.u(16))
	r.u(24) // the smallest frame
	r.u(24) // the largest
	f := FLAC{SampleRate: int(r.u(20)), Channels: int(r.u(3)) + 1, Depth: int(r.u(5)) + 1}
	if least == most {
		f.Block = least
	}
	if f.SampleRate == 0 {
		return FLAC{}, malformed("FLAC: no sample rate")
	}
	return f, nil
}
