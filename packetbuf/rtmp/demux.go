package rtmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Errors of a Demuxer. After one of them the bytes have no meaning any more.
var (
	ErrTooLarge   = errors.New("rtmp: message too large")
	ErrTooMany    = errors.New("rtmp: too many streams")
	ErrBuffered   = errors.New("rtmp: too many unfinished bytes")
	ErrBadChunk   = errors.New("rtmp: bad chunk")
	ErrBadControl = errors.New("rtmp: bad control message")
)

// maxHeader is the longest chunk header: basic 3, message 11, extended timestamp 4.
const maxHeader = 18

// repeat says whether the peer repeats the extended timestamp in type 3 chunks. The
// specification wants it (5.3.1.3), several senders leave it out, and nothing on the
// wire tells which; a sender is one or the other for all its life.
type repeat uint8

const (
	repeatUnknown repeat = iota
	repeatYes
	repeatNo
)

// Demuxer puts the chunks of one direction of a connection together to messages. It
// follows set chunk size and abort by itself and does not return them. The zero value
// is not usable; see NewDemuxer.
type Demuxer struct {
	limits    Limits
	chunkSize int
	streams   []*chunkStream
	seen      []uint32 // message streams
	buffered  int      // capacity of all unfinished payloads
	reserve   func(buffered int) error
	repeats   repeat

	hdr  [maxHeader]byte // the header being read
	have int             // bytes of it
	cur  *chunkStream    // whose payload is being read; nil within a header
	left int             // payload bytes left in the current chunk

	out Message
}

// NewDemuxer returns a Demuxer at the start of a connection, right after the handshake.
func NewDemuxer(l Limits) *Demuxer {
	return &Demuxer{limits: l, chunkSize: DefaultChunkSize}
}

// SetLimits changes the limits for what comes from now on.
func (d *Demuxer) SetLimits(l Limits) { d.limits = l }

// SetReserve has reserve called before more memory is taken for unfinished messages, with what Buffered
// will return. Its error is that of Push.
func (d *Demuxer) SetReserve(reserve func(buffered int) error) { d.reserve = reserve }

// Buffered is the number of bytes held for messages that have not come whole.
func (d *Demuxer) Buffered() int { return d.buffered }

// Push takes bytes in the order of the wire and stops behind the first message that is
// whole. It returns what it has not consumed, and the message: nil when p was used up.
// The message is valid until the next Push; its payload belongs to the caller for good.
func (d *Demuxer) Push(p []byte) (rest []byte, m *Message, err error) {
	// An empty message is whole with its header, though no byte may be left.
	for len(p) > 0 || d.cur != nil && d.left == 0 {
		if d.cur == nil {
			if p, err = d.header(p); err != nil {
				return nil, nil, err
			}
			if d.cur == nil {
				continue
			}
		}
		n := min(d.left, len(p))
		if err := d.keep(p[:n], len(p)); err != nil {
			return nil, nil, err
		}
		p = p[n:]
		if d.left -= n; d.left > 0 {
			continue
		}
		cs := d.cur
		d.cur = nil
		if len(cs.payload) < cs.length {
			continue
		}
		if d.take(cs) {
			return p, &d.out, nil
		}
		if err := d.control(); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

// header moves bytes of p into the header and, when it is whole, opens its chunk.
func (d *Demuxer) header(p []byte) ([]byte, error) {
	for {
		need := d.headerSize()
		if d.have >= need {
			break
		}
		if len(p) == 0 {
			return p, nil
		}
		n := min(need-d.have, len(p))
		if d.probing() {
			n = 1 // decide at the first byte that differs: more may never come
		}
		copy(d.hdr[d.have:], p[:n])
		d.have += n
		p = p[n:]
	}
	return d.open(p)
}

// basic returns the length of the basic header, the format and the chunk stream.
// It is right once that many bytes are there.
func (d *Demuxer) basic() (size int, format uint8, id uint32) {
	b := d.hdr[0]
	format = b >> 6
	switch b & 0x3f {
	case 0:
		return 2, format, uint32(d.hdr[1]) + 64
	case 1:
		return 3, format, uint32(d.hdr[2])<<8 + uint32(d.hdr[1]) + 64
	}
	return 1, format, uint32(b & 0x3f)
}

var messageHeaderSize = [4]int{11, 7, 3, 0}

// headerSize is the length of the header as far as the bytes that are there tell.
func (d *Demuxer) headerSize() int {
	if d.have == 0 {
		return 1
	}
	basic, format, id := d.basic()
	size := basic + messageHeaderSize[format]
	if d.have < size {
		return size
	}
	if format < 3 {
		if uint24(d.hdr[basic:]) == extended {
			size += 4
		}
		return size
	}
	cs := d.find(id)
	if cs == nil || !cs.extended || d.repeats == repeatNo {
		return size
	}
	if d.repeats == repeatUnknown && !matches(d.hdr[basic:d.have], cs.field) {
		return d.have // not a timestamp, so it is payload: open sees to it
	}
	return size + 4
}

// probing tells whether the bytes to come may be a repeated timestamp or payload.
func (d *Demuxer) probing() bool {
	if d.repeats != repeatUnknown || d.have == 0 {
		return false
	}
	basic, format, _ := d.basic()
	return format == 3 && d.have >= basic
}

func matches(got []byte, field uint32) bool {
	var want [4]byte
	binary.BigEndian.PutUint32(want[:], field)
	return slices.Equal(got, want[:len(got)])
}

// open begins the chunk whose header is whole. The bytes that turned out to be payload
// go to the chunk at once.
func (d *Demuxer) open(p []byte) ([]byte, error) {
	basic, format, id := d.basic()
	cs, err := d.stream(id, format)
	if err != nil {
		return nil, err
	}
	var early []byte
	if format == 3 {
		if early, err = d.continued(cs, d.hdr[basic:d.have]); err != nil {
			return nil, err
		}
	} else {
		d.drop(cs) // a new header in the middle of a message gives the old one up
		if err := d.begin(cs, format, d.hdr[basic:d.have]); err != nil {
			return nil, err
		}
	}
	d.have = 0
	d.cur, d.left = cs, min(d.chunkSize, cs.length-len(cs.payload))
	if n := min(len(early), d.left); n > 0 {
		if err := d.keep(early[:n], n); err != nil {
			return nil, err
		}
		d.left -= n
		early = early[n:]
	}
	if len(early) > 0 {
		// Bytes that looked like a timestamp go over the end of the chunk.
		p = append(slices.Clone(early), p...)
	}
	return p, nil
}

// continued handles a type 3 chunk; tail is what was read behind its basic header.
func (d *Demuxer) continued(cs *chunkStream, tail []byte) (early []byte, err error) {
	if cs.extended && d.repeats == repeatUnknown {
		if len(tail) == 4 && matches(tail, cs.field) {
			d.repeats = repeatYes
		} else {
			d.repeats = repeatNo
			early = tail
		}
	}
	if cs.started {
		return early, nil
	}
	return early, d.start(cs, cs.delta)
}

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }

func (d *Demuxer) begin(cs *chunkStream, format uint8, h []byte) error {
	cs.field = uint24(h)
	if cs.extended = cs.field == extended; cs.extended {
		cs.field = binary.BigEndian.Uint32(h[messageHeaderSize[format]:])
	}
	if format <= 1 {
		cs.length = int(uint24(h[3:]))
		cs.typ = h[6]
	}
	if format == 0 {
		cs.msid = binary.LittleEndian.Uint32(h[7:])
		cs.timestamp = 0
	}
	// A type 3 chunk that begins a message repeats the delta, and behind a type 0 it
	// repeats the timestamp as delta (5.3.1.2.4).
	cs.delta = cs.field
	return d.start(cs, cs.delta)
}

// start begins a message on cs, delta after the one before.
func (d *Demuxer) start(cs *chunkStream, delta uint32) error {
	if limit := d.limits.message(cs.typ); cs.length > limit {
		return fmt.Errorf("%w: type %d, %d bytes, at most %d", ErrTooLarge, cs.typ, cs.length, limit)
	}
	if !slices.Contains(d.seen, cs.msid) {
		if len(d.seen) >= d.limits.MessageStreams {
			return fmt.Errorf("%w: more than %d message streams", ErrTooMany, d.limits.MessageStreams)
		}
		d.seen = append(d.seen, cs.msid)
	}
	cs.timestamp += delta // wraps by design
	cs.started = true
	return nil
}

// take makes the finished message of cs the Demuxer's output. It returns false when the
// message is the Demuxer's own business.
func (d *Demuxer) take(cs *chunkStream) bool {
	d.out = Message{
		Header:  Header{ChunkStream: cs.id, Stream: cs.msid, Type: cs.typ, Timestamp: cs.timestamp},
		Payload: cs.payload,
	}
	d.drop(cs)
	return cs.typ != TypeSetChunkSize && cs.typ != TypeAbort
}

// control follows a set chunk size or an abort message.
func (d *Demuxer) control() error {
	if len(d.out.Payload) < 4 {
		return fmt.Errorf("%w: type %d with %d bytes", ErrBadControl, d.out.Type, len(d.out.Payload))
	}
	v := binary.BigEndian.Uint32(d.out.Payload)
	if d.out.Type == TypeAbort {
		if cs := d.find(v); cs != nil {
			d.drop(cs)
		}
		return nil
	}
	if v == 0 || v > 0x7fffffff {
		return fmt.Errorf("%w: chunk size %d", ErrBadControl, v)
	}
	d.chunkSize = int(min(v, MaxChunkSize))
	return nil
}
