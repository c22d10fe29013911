package codec

import (
	"errors"
	"fmt"
	"io"
)

const (
	adtsHeader = 7
	adtsCRC    = 2
	adtsMost   = 1<<13 - 1 // bytes, header included
)

// AppendADTS appends the header of an ADTS frame with a payload of n bytes (ISO/IEC 14496-3,
// 1.A.2.2), which is to follow. Its error says that ADTS has no words for the configuration or
// for so long a frame.
func (c AAC) AppendADTS(dst []byte, n int) ([]byte, error) {
	rate := -1
	for i, known := range aacRates {
		if known == c.SampleRate {
			rate = i
		}
	}
	channels := channelConfiguration(c.Channels)
	switch {
	case c.ObjectType < AACMain || c.ObjectType > aacLTP:
		return dst, fmt.Errorf("ADTS: AAC object type %d", c.ObjectType)
	case rate < 0:
		return dst, fmt.Errorf("ADTS: %d Hz", c.SampleRate)
	case channels == 0 || channels > 7 || c.Program:
		return dst, fmt.Errorf("ADTS: %d channels", c.Channels)
	case c.FrameSamples != 1024:
		return dst, fmt.Errorf("ADTS: frames of %d samples", c.FrameSamples)
	case n < 1 || adtsHeader+n > adtsMost:
		return dst, fmt.Errorf("ADTS: a frame of %d bytes", n)
	}
	w := &bitWriter{out: dst}
	w.u(12, 0xfff)
	w.u(4, 1)                      // MPEG-4, layer 0, no CRC
	w.u(2, uint32(c.ObjectType-1)) //nolint:gosec // 0 to 3
	w.u(4, uint32(rate))           //nolint:gosec // 0 to 12
	w.u(1, 0)                      // private
	w.u(3, channels)
	w.u(4, 0)                     // original, home, copyright
	w.u(13, uint32(adtsHeader+n)) //nolint:gosec // 13 bits
	w.u(11, 0x7ff)                // a variable rate
	w.u(2, 0)                     // one raw data block
	return w.out, nil
}

// ADTSFrame is one frame with what its header says.
type ADTSFrame struct {
	Config  AAC
	Payload []byte // a raw frame, the receiver's own
}

// ADTSReader reads ADTS frame by frame. It reads no further than it has to; hand it a
// buffered reader.
type ADTSReader struct{ r io.Reader }

// NewADTSReader reads from r.
func NewADTSReader(r io.Reader) *ADTSReader { return &ADTSReader{r: r} }

// Next returns the next frame. Its error is io.EOF at the end, io.ErrUnexpectedEOF within a
// frame, or wraps ErrMalformed: then there is no way on.
func (a *ADTSReader) Next() (ADTSFrame, error) {
	var head [adtsHeader]byte
	if _, err := io.ReadFull(a.r, head[:]); err != nil {
		return ADTSFrame{}, err
	}
	c, size, crc, err := parseADTS(head)
	if err != nil {
		return ADTSFrame{}, err
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(a.r, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return ADTSFrame{}, err
	}
	return ADTSFrame{Config: c, Payload: body[crc:]}, nil
}

// parseADTS reads a header: the configuration, how many bytes follow, and how many of them are
// the CRC's.
func parseADTS(head [adtsHeader]byte) (c AAC, size, crc int, err error) {
	r := &bitReader{data: head[:]}
	sync := r.u(12)
	r.u(1)
	layer := r.u(2)
	if !r.flag() {
		crc = adtsCRC
	}
	if sync != 0xfff || layer != 0 {
		return AAC{}, 0, 0, malformed("ADTS: no sync word")
	}
	c = AAC{ObjectType: int(r.u(2)) + 1, FrameSamples: 1024}
	rate := int(r.u(4))
	r.u(1)
	c.Channels = aacChannels[r.u(3)]
	r.u(4)
	size = int(r.u(13)) - adtsHeader
	r.u(11)
	blocks := r.u(2) + 1
	switch {
	case rate >= len(aacRates):
		return AAC{}, 0, 0, malformedf("ADTS: rate index %d", rate)
	case size <= crc:
		return AAC{}, 0, 0, malformedf("ADTS: a frame of %d bytes", size)
	case blocks != 1:
		return AAC{}, 0, 0, malformedf("ADTS: %d blocks in a frame", blocks)
	}
	c.SampleRate = aacRates[rate]
	return c, size, crc, nil
}

// ADTSConfig returns the configuration in an ADTS header; ok is false where b does not begin with
// one. No AudioSpecificConfig begins with the same bits.
func ADTSConfig(b []byte) (c AAC, ok bool) {
	if len(b) < adtsHeader {
		return AAC{}, false
	}
	r := &bitReader{data: b}
	if r.u(12) != 0xfff || r.u(1) > 1 || r.u(2) != 0 {
		return AAC{}, false
	}
	r.u(1)
	c = AAC{ObjectType: int(r.u(2)) + 1, FrameSamples: 1024}
	rate := int(r.u(4))
	r.u(1)
	if c.Channels = aacChannels[r.u(3)]; rate >= len(aacRates) {
		return AAC{}, false
	}
	c.SampleRate = aacRates[rate]
	return c, true
}

// SplitADTS returns the frames of a buffer that consists of frames with ADTS headers and nothing
// else; ok is false for any other. The payloads alias b. A raw frame is never taken for one: it
// would begin with the element that ends it.
func SplitADTS(b []byte) (frames []ADTSFrame, ok bool) {
	for len(b) > 0 {
		if len(b) < adtsHeader {
			return nil, false
		}
		c, size, crc, err := parseADTS([adtsHeader]byte(b))
		if err != nil || adtsHeader+size > len(b) {
			return nil, false
		}
		end := adtsHeader + size
		frames = append(frames, ADTSFrame{Config: c, Payload: b[adtsHeader+crc : end : end]})
		b = b[end:]
	}
	return frames, len(frames) > 0
}
