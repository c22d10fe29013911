package ogg

import "github.com/holdfast-live/holdfast/packetbuf/codec"

// mostPacket is the longest packet that fits on one page, in bytes.
const mostPacket = segment*mostLaces - 1

// Writer makes Ogg of the packets of one Opus stream: one page for each, so that a reader has
// what was written.
type Writer struct {
	head     codec.OpusHead
	begun    bool
	granule  uint64
	sequence uint32
}

// NewWriter returns a writer of the stream that head describes.
func NewWriter(head codec.OpusHead) *Writer { return &Writer{head: head} }

// Append appends the page of the next packet, behind the headers before the first. Its error
// says that the packet is not one of Opus; then nothing was appended.
func (w *Writer) Append(dst, packet []byte) ([]byte, error) {
	n, err := codec.OpusSamples(packet)
	if err != nil {
		return dst, err
	}
	if len(packet) > mostPacket {
		return dst, malformed("a packet of %d bytes", len(packet))
	}
	if !w.begun {
		w.begun = true
		dst = w.page(dst, first, w.head.Append(nil))
		dst = w.page(dst, 0, []byte("OpusTags\x08\x00\x00\x00holdfast\x00\x00\x00\x00"))
	}
	w.granule += uint64(n) //nolint:gosec // at most 5,760
	return w.page(dst, 0, packet), nil
}

func (w *Writer) page(dst []byte, flags byte, packet []byte) []byte {
	p := page{flags: flags, granule: w.granule, serial: 1, sequence: w.sequence}
	w.sequence++
	return p.append(dst, packet)
}
