package codec

// OpusRate is the clock rate of Opus in Hz, independent of the encoder's input rate.
const OpusRate = 48000

// OpusSamples returns the duration of a packet in samples at OpusRate, 120 to 5,760 (RFC 6716, 3.1 and
// 3.2).
func OpusSamples(packet []byte) (int, error) {
	if len(packet) == 0 {
		return 0, malformed("Opus packet: empty")
	}
	toc := packet[0]
	var frame int
	switch config := int(toc >> 3); {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		frame = [4]int{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		frame = 480 << (config & 1)
	default: // CELT: 2.5, 5, 10, 20 ms
		frame = 120 << (config & 3)
	}
	frames := 1
	switch toc & 3 {
	case 1, 2:
		frames = 2
	case 3:
		if len(packet) < 2 {
			return 0, malformed("Opus packet: no frame count")
		}
		frames = int(packet[1] & 0x3f)
	}
	const most = 120 * OpusRate / 1000
	if frames == 0 || frames*frame > most {
		return 0, malformedf("Opus packet: %d frames of %d samples", frames, frame)
	}
	return frames * frame, nil
}

// OpusChannels returns the number of channels of a packet, 1 or 2.
func OpusChannels(packet []byte) int {
	if len(packet) > 0 && packet[0]&4 != 0 {
		return 2
	}
	return 1
}
