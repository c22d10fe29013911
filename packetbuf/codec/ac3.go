package codec

// AC3 is the header of an AC-3 or E-AC-3 frame (ETSI TS 102 366, 4.3, 4.4 and E.1.2).
type AC3 struct {
	Enhanced   bool // E-AC-3
	SampleRate int  // Hz
	Channels   int  // including the low-frequency channel
	LFE        bool // the audio has a low-frequency channel
	Samples    int  // samples per channel in the frame
}

var ac3Rates = [3]int{48000, 44100, 32000}

// ParseAC3 reads the header of an AC-3 or E-AC-3 frame.
func ParseAC3(frame []byte) (AC3, error) {
	if len(frame) < 8 || frame[0] != 0x0b || frame[1] != 0x77 {
		return AC3{}, malformed("AC-3 frame: no sync word")
	}
	// bsid is at the same position in both.
	switch id := frame[5] >> 3; {
	case id <= 8:
		return parseAC3(frame)
	case id > 10 && id <= 16:
		return parseEAC3(frame)
	}
	return AC3{}, malformedf("AC-3 frame: version %d", frame[5]>>3)
}

func parseAC3(frame []byte) (AC3, error) {
	rate, mode := frame[4]>>6, frame[6]>>5
	if rate == 3 {
		return AC3{}, malformed("AC-3 frame: reserved sample rate")
	}
	at := 3 // position of lfeon, after the mix levels that are present
	if mode&1 != 0 && mode != 1 {
		at += 2
	}
	if mode&4 != 0 {
		at += 2
	}
	if mode == 2 {
		at += 2
	}
	lfe := frame[6] << at >> 7
	return AC3{SampleRate: ac3Rates[rate], Channels: ac3Channels(mode, lfe), LFE: lfe != 0, Samples: 1536}, nil
}

func parseEAC3(frame []byte) (AC3, error) {
	rate, blocks := frame[4]>>6, frame[4]>>4&3
	mode, lfe := frame[4]>>1&7, frame[4]&1
	a := AC3{Enhanced: true, Channels: ac3Channels(mode, lfe), LFE: lfe != 0, Samples: 256 * [4]int{1, 2, 3, 6}[blocks]}
	switch {
	case rate < 3:
		a.SampleRate = ac3Rates[rate]
	case blocks < 3: // half a rate, always with six blocks
		a.SampleRate, a.Samples = ac3Rates[blocks]/2, 1536
	default:
		return AC3{}, malformed("E-AC-3 frame: reserved sample rate")
	}
	return a, nil
}

func ac3Channels(mode, lfe byte) int { return [8]int{2, 1, 2, 3, 3, 4, 4, 5}[mode] + int(lfe) }
