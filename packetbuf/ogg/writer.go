package ogg

import "github.com/holdfast-live/holdfast/packetbuf/codec"

// maxPagePacket is the size of the longest packet that fits on one page, in bytes.
const maxPagePacket = segmentSize*maxLaces - 1

// Writer writes the packets of one Opus stream as Ogg. It writes one page per packet, so that a reader
// receives each packet without delay.
type Writer struct {
	head     codec.OpusHead
	started  bool
	granule  uint64
	sequence uint32
}

// NewWriter returns a Writer for a stream with the identification header head.
func NewWriter(head codec.OpusHead) *Writer { return &Writer{head: head} }

// Append appends a page with the next packet to dst. The first packet is preceded by the header pages. If
// the packet is not Opus or does not fit on a page, Append appends nothing and returns an error.
func (w *Writer) Append(dst, packet []byte) ([]byte, error) {
	n, err := codec.OpusSamples(packet)
	if err != nil {
		return dst, err
	}
	if len(packet) > maxPagePacket {
		return dst, malformed("packet of %d bytes does not fit a page", len(packet))
	}
	if !w.started {
		w.started = true
		dst = w.appendPage(dst, firstPage, w.head.Append(nil))
		dst = w.appendPage(dst, 0, []byte("OpusTags\x08\x00\x00\x00holdfast\x00\x00\x00\x00"))
	}
	w.granule += uint64(n) //nolint:gosec // at most 5,760
	return w.appendPage(dst, 0, packet), nil
}

func (w *Writer) appendPage(dst []byte, flags byte, packet []byte) []byte {
	p := page{flags: flags, granule: w.granule, serial: 1, sequence: w.sequence}
	w.sequence++
	return p.append(dst, packet)
}
