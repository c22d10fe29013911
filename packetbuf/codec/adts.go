package codec

import (
	"errors"
	"fmt"
	"io"
)

const (
	adtsHeaderSize = 7
	adtsCRCSize    = 2
	adtsMaxSize    = 1<<13 - 1 // bytes, header included
)

// AppendADTS appends the header of an ADTS frame with a payload of n bytes (ISO/IEC 14496-3, 1.A.2.2).
// The caller appends the payload. AppendADTS returns an error if ADTS cannot express the configuration or
// a frame of that length.
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
		return dst, fmt.Errorf("append ADTS header: unsupported object type %d", c.ObjectType)
	case rate < 0:
		return dst, fmt.Errorf("append ADTS header: unsupported rate %d Hz", c.SampleRate)
	case channels == 0 || channels > 7 || c.ProgramConfig:
		return dst, fmt.Errorf("append ADTS header: unsupported channel configuration (%d channels)", c.Channels)
	case c.FrameSamples != 1024:
		return dst, fmt.Errorf("append ADTS header: unsupported frame size %d", c.FrameSamples)
	case n < 1 || adtsHeaderSize+n > adtsMaxSize:
		return dst, fmt.Errorf("append ADTS header: frame of %d bytes out of range", n)
	}
	w := &bitWriter{out: dst}
	w.u(12, 0xfff)
	w.u(4, 1)                      // MPEG-4, layer 0, no CRC
	w.u(2, uint32(c.ObjectType-1)) //nolint:gosec // 0 to 3
	w.u(4, uint32(rate))           //nolint:gosec // 0 to 12
	w.u(1, 0)                      // private
	w.u(3, channels)
	w.u(4, 0)                         // original_copy, home, copyright
	w.u(13, uint32(adtsHeaderSize+n)) //nolint:gosec // 13 bits
	w.u(11, 0x7ff)                    // variable rate
	w.u(2, 0)                         // one raw data block
	return w.out, nil
}

// ADTSFrame is one AAC frame and the configuration in its ADTS header.
type ADTSFrame struct {
	Config  AAC
	Payload []byte // a raw frame
}

// ADTSReader reads ADTS frames. It makes small reads up to the end of a frame, so its source should be
// buffered.
type ADTSReader struct{ r io.Reader }

// NewADTSReader returns an ADTSReader that reads from r.
func NewADTSReader(r io.Reader) *ADTSReader { return &ADTSReader{r: r} }

// Next returns the next frame. The caller may keep and change its payload. The error is io.EOF if the
// input ends between frames and io.ErrUnexpectedEOF if it ends within one. After an error that wraps
// ErrMalformed no further frame can be read.
func (a *ADTSReader) Next() (ADTSFrame, error) {
	var head [adtsHeaderSize]byte
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

// parseADTS reads an ADTS header. It returns the configuration, the number of bytes of the frame after
// the header, and the size of the CRC at their start.
func parseADTS(head [adtsHeaderSize]byte) (c AAC, size, crc int, err error) {
	r := &bitReader{data: head[:]}
	sync := r.u(12)
	r.u(1)
	layer := r.u(2)
	if !r.flag() {
		crc = adtsCRCSize
	}
	if sync != 0xfff || layer != 0 {
		return AAC{}, 0, 0, malformed("ADTS: no sync word")
	}
	c = AAC{ObjectType: int(r.u(2)) + 1, FrameSamples: 1024}
	rate := int(r.u(4))
	r.u(1)
	c.Channels = aacChannels[r.u(3)]
	r.u(4)
	size = int(r.u(13)) - adtsHeaderSize
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

// ADTSConfig returns the configuration in the ADTS header at the start of b; ok is false if b does not
// begin with one. An AudioSpecificConfig is never mistaken for one: none begins with the same bits.
func ADTSConfig(b []byte) (c AAC, ok bool) {
	if len(b) < adtsHeaderSize {
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

// SplitADTS splits a buffer that consists of complete ADTS frames. ok is false if it contains anything
// else. The payloads alias b. A raw AAC frame is never mistaken for ADTS: it would have to begin with the
// element that ends a frame.
func SplitADTS(b []byte) (frames []ADTSFrame, ok bool) {
	for len(b) > 0 {
		if len(b) < adtsHeaderSize {
			return nil, false
		}
		c, size, crc, err := parseADTS([adtsHeaderSize]byte(b))
		if err != nil || adtsHeaderSize+size > len(b) {
			return nil, false
		}
		end := adtsHeaderSize + size
		frames = append(frames, ADTSFrame{Config: c, Payload: b[adtsHeaderSize+crc : end : end]})
		b = b[end:]
	}
	return frames, len(frames) > 0
}
