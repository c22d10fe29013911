package ogg

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// most bounds a packet. Those of Opus are shorter; its comments need not be.
const most = 1 << 20

// Reader reads the packets of an Opus stream. It reads no further than a page; hand it a
// buffered reader.
type Reader struct {
	r       io.Reader
	serial  uint32
	begun   bool
	next    uint32   // sequence of the page to come
	queue   [][]byte // whole packets of the page read last
	partial []byte   // a packet that goes on on the next page
	within  bool     // there is one
	headers int      // packets that were headers
	head    codec.OpusHead
}

// NewReader reads from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Head is what the stream's identification header says; before the first packet it is empty.
func (r *Reader) Head() codec.OpusHead { return r.head }

// Next returns the next packet of Opus, the receiver's own. Its error is io.EOF at the end,
// io.ErrUnexpectedEOF within a page, or wraps ErrMalformed: then there is no way on.
func (r *Reader) Next() ([]byte, error) {
	for {
		for len(r.queue) > 0 {
			packet := r.queue[0]
			r.queue = r.queue[1:]
			media, err := r.sort(packet)
			if media || err != nil {
				return packet, err
			}
		}
		if err := r.page(); err != nil {
			return nil, err
		}
	}
}

// sort tells headers from media: the first packet says what the stream is, the second is
// comments.
func (r *Reader) sort(packet []byte) (media bool, err error) {
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

// page reads a page and queues what ends on it. Pages of other streams are passed over.
func (r *Reader) page() error {
	var fixed [pageHeader]byte
	if _, err := io.ReadFull(r.r, fixed[:]); err != nil {
		return err
	}
	if string(fixed[:4]) != capture || fixed[4] != 0 {
		return malformed("no page where one should begin")
	}
	laces := make([]byte, fixed[26])
	if err := r.fill(laces); err != nil {
		return err
	}
	size := 0
	for _, n := range laces {
		size += int(n)
	}
	body := make([]byte, size)
	if err := r.fill(body); err != nil {
		return err
	}
	want := binary.LittleEndian.Uint32(fixed[22:])
	clear(fixed[22:26])
	if got := checksum(checksum(checksum(0, fixed[:]), laces), body); got != want {
		return malformed("checksum %08x, want %08x", got, want)
	}
	p := page{flags: fixed[5], serial: binary.LittleEndian.Uint32(fixed[14:]), sequence: binary.LittleEndian.Uint32(fixed[18:])}
	if !r.begun {
		r.begun, r.serial, r.next = true, p.serial, p.sequence
	}
	if p.serial != r.serial {
		return nil
	}
	return r.split(p, laces, body)
}

func (r *Reader) fill(b []byte) error {
	_, err := io.ReadFull(r.r, b)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// split cuts a page into packets.
func (r *Reader) split(p page, laces, body []byte) error {
	goesOn := p.flags&continued != 0
	if goesOn != r.within || p.sequence != r.next {
		return malformed("page %d where %d should be, continued: %v", p.sequence, r.next, goesOn)
	}
	r.next++
	for _, n := range laces {
		r.partial = append(r.partial, body[:n]...)
		body = body[n:]
		if r.within = n == segment; r.within {
			if len(r.partial) > most {
				return malformed("a packet of more than %d bytes", most)
			}
			continue
		}
		r.queue = append(r.queue, r.partial)
		r.partial = nil
	}
	return nil
}
