package ogg

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// maxPacket bounds the size of a packet in bytes. Opus packets are shorter, but the comment header may
// be long.
const maxPacket = 1 << 20

// Reader reads the packets of an Opus stream in Ogg. It makes small reads up to the end of a page, so its
// source should be buffered.
type Reader struct {
	r        io.Reader
	serial   uint32
	started  bool
	next     uint32   // sequence number of the next page
	queue    [][]byte // complete packets of the last page
	partial  []byte   // a packet that continues on the next page
	inPacket bool     // partial is in use
	headers  int      // header packets read
	head     codec.OpusHead
}

// NewReader returns a Reader that reads from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Head returns the stream's identification header. It is zero until Next has returned a packet.
func (r *Reader) Head() codec.OpusHead { return r.head }

// Next returns the next Opus packet, which the caller may keep and change. The error is io.EOF if the
// stream ends between pages and io.ErrUnexpectedEOF if it ends within one. After an error that wraps
// ErrMalformed no further packet can be read.
func (r *Reader) Next() ([]byte, error) {
	for {
		for len(r.queue) > 0 {
			packet := r.queue[0]
			r.queue = r.queue[1:]
			media, err := r.acceptHeader(packet)
			if media || err != nil {
				return packet, err
			}
		}
		if err := r.readPage(); err != nil {
			return nil, err
		}
	}
}

// acceptHeader reads the packet if it is one of the two headers, the identification header and then the
// comment header. media is true if it is a packet of media instead.
func (r *Reader) acceptHeader(packet []byte) (media bool, err error) {
	switch r.headers {
	case 0:
		if r.head, err = codec.ParseOpusHead(packet); err != nil {
			return false, malformed("%v", err)
		}
		r.headers++
		return false, nil
	case 1:
		if len(packet) < 8 || string(packet[:8]) != "OpusTags" {
			return false, malformed("no OpusTags")
		}
		r.headers++
		return false, nil
	}
	return len(packet) > 0, nil
}

// readPage reads a page and queues the packets that end on it. It skips pages of other streams.
func (r *Reader) readPage() error {
	var fixed [pageHeaderSize]byte
	if _, err := io.ReadFull(r.r, fixed[:]); err != nil {
		return err
	}
	if string(fixed[:4]) != capture || fixed[4] != 0 {
		return malformed("page does not begin with %q", capture)
	}
	laces := make([]byte, fixed[26])
	if err := r.readFull(laces); err != nil {
		return err
	}
	size := 0
	for _, n := range laces {
		size += int(n)
	}
	body := make([]byte, size)
	if err := r.readFull(body); err != nil {
		return err
	}
	want := binary.LittleEndian.Uint32(fixed[22:])
	clear(fixed[22:26])
	if got := checksum(checksum(checksum(0, fixed[:]), laces), body); got != want {
		return malformed("checksum %08x, want %08x", got, want)
	}
	p := page{flags: fixed[5], serial: binary.LittleEndian.Uint32(fixed[14:]), sequence: binary.LittleEndian.Uint32(fixed[18:])}
	if !r.started {
		r.started, r.serial, r.next = true, p.serial, p.sequence
	}
	if p.serial != r.serial {
		return nil
	}
	return r.splitPage(p, laces, body)
}

func (r *Reader) readFull(b []byte) error {
	_, err := io.ReadFull(r.r, b)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// splitPage splits a page into packets.
func (r *Reader) splitPage(p page, laces, body []byte) error {
	continues := p.flags&continued != 0
	if continues != r.inPacket || p.sequence != r.next {
		return malformed("page %d instead of %d, continued: %v", p.sequence, r.next, continues)
	}
	r.next++
	for _, n := range laces {
		r.partial = append(r.partial, body[:n]...)
		body = body[n:]
		if r.inPacket = n == segmentSize; r.inPacket {
			if len(r.partial) > maxPacket {
				return malformed("packet of more than %d bytes", maxPacket)
			}
			continue
		}
		r.queue = append(r.queue, r.partial)
		r.partial = nil
	}
	return nil
}
