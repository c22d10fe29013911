package codec

// FLAC is the STREAMINFO of a FLAC stream (RFC 9639, 8.2).
type FLAC struct {
	SampleRate int // Hz
	Channels   int // 1 to 8
	Depth      int // bits per sample, 4 to 32
	// Block is the number of samples per channel of a frame; 0 if it varies.
	Block int
}

const (
	flacMagic          = "fLaC"
	flacStreamInfoSize = 34 // bytes
)

// ParseFLAC reads the configuration of a FLAC stream, which is the start of the stream: the signature and
// the STREAMINFO block. It ignores further metadata blocks.
func ParseFLAC(b []byte) (FLAC, error) {
	const head = len(flacMagic) + 4
	if len(b) < head+flacStreamInfoSize || string(b[:4]) != flacMagic {
		return FLAC{}, malformed("FLAC: cut short or no signature")
	}
	if b[4]&0x7f != 0 || b[5] != 0 || b[6] != 0 || b[7] != flacStreamInfoSize {
		return FLAC{}, malformed("FLAC: does not begin with STREAMINFO")
	}
	r := &bitReader{data: b[head:]}
	least, most := int(r.u(16)), int(r.u(16))
	r.u(24) // smallest frame size
	r.u(24) // largest frame size
	f := FLAC{SampleRate: int(r.u(20)), Channels: int(r.u(3)) + 1, Depth: int(r.u(5)) + 1}
	if least == most {
		f.Block = least
	}
	if f.SampleRate == 0 {
		return FLAC{}, malformed("FLAC: no sample rate")
	}
	return f, nil
}
