package codec

// MP3 is the header of an MPEG audio frame (ISO/IEC 11172-3, 2.4.1.3, and 13818-3 for the lower
// rates).
type MP3 struct {
	SampleRate int // Hz
	Samples    int // samples per channel in the frame
	Channels   int
	Bitrate    int // bit/s; 0 for free format
	Length     int // size of the frame in bytes, header included; 0 for free format
	Layer      int // 1 to 3; only 3 is MP3
}

var (
	mp3Rates = [3]int{44100, 48000, 32000}
	mp3Kbit1 = [3][15]int{ // MPEG-1, layers I to III
		{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
		{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
		{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
	}
	mp3Kbit2 = [3][15]int{ // MPEG-2 and 2.5
		{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
	}
)

// ParseMP3 reads the header at the start of an MPEG audio frame.
func ParseMP3(frame []byte) (MP3, error) {
	if len(frame) < 4 || frame[0] != 0xff || frame[1]&0xe0 != 0xe0 {
		return MP3{}, malformed("MP3 frame: no sync word")
	}
	version := frame[1] >> 3 & 3 // 0 is MPEG-2.5, 2 MPEG-2, 3 MPEG-1
	layer := 4 - int(frame[1]>>1&3)
	bitrate, rate := frame[2]>>4, frame[2]>>2&3
	padding := int(frame[2] >> 1 & 1)
	if version == 1 || layer == 4 || bitrate == 15 || rate == 3 {
		return MP3{}, malformed("MP3 frame: reserved value in the header")
	}
	m := MP3{SampleRate: mp3Rates[rate], Channels: 2, Layer: layer, Samples: 1152}
	if frame[3]>>6 == 3 {
		m.Channels = 1
	}
	kbit := mp3Kbit1
	if version != 3 {
		kbit = mp3Kbit2
		m.SampleRate /= 2
		if layer == 3 {
			m.Samples = 576
		}
	}
	if version == 0 {
		m.SampleRate /= 2
	}
	m.Bitrate = 1000 * kbit[layer-1][bitrate]
	if layer == 1 {
		m.Samples = 384
		m.Length = (12*m.Bitrate/m.SampleRate + padding) * 4
	} else if m.Bitrate != 0 {
		m.Length = m.Samples/8*m.Bitrate/m.SampleRate + padding
	}
	if m.Bitrate == 0 {
		m.Length = 0
	}
	return m, nil
}
