package rtmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Errors of a Demuxer. After any of them the rest of the connection cannot be parsed.
var (
	ErrTooLarge   = errors.New("rtmp: message too large")
	ErrTooMany    = errors.New("rtmp: too many streams")
	ErrBuffered   = errors.New("rtmp: too many unfinished bytes")
	ErrBadChunk   = errors.New("rtmp: bad chunk")
	ErrBadControl = errors.New("rtmp: bad control message")
)

// maxHeader is the size of the longest chunk header: basic 3, message 11, extended timestamp 4.
const maxHeader = 18

// extendedRepeat reports whether the peer repeats the extended timestamp in type 3 chunks. The
// specification requires it (5.3.1.3), but some senders omit it, and the protocol does not signal which.
// A sender never changes between the two.
type extendedRepeat uint8

const (
	repeatUnknown extendedRepeat = iota
	repeatYes
	repeatNo
)

// Demuxer reassembles the chunks of one direction of a connection into messages. It handles set chunk
// size and abort messages itself and does not return them. The zero value is not usable; see NewDemuxer.
type Demuxer struct {
	limits         Limits
	chunkSize      int
	streams        []*chunkStream
	messageStreams []uint32 // message stream ids seen
	buffered       int      // capacity of all unfinished payloads
	reserve        func(buffered int) error
	repeats        extendedRepeat

	hdr       [maxHeader]byte // the header being read
	hdrLen    int             // number of header bytes read so far
	cur       *chunkStream    // the stream whose payload is being read; nil within a header
	chunkLeft int             // payload bytes left in the current chunk

	out Message
}

// NewDemuxer returns a Demuxer for a new connection. Its input starts right after the handshake.
func NewDemuxer(l Limits) *Demuxer {
	return &Demuxer{limits: l, chunkSize: DefaultChunkSize}
}

// SetLimits changes the limits for later input.
func (d *Demuxer) SetLimits(l Limits) { d.limits = l }

// SetReserve sets a function that Push calls before it allocates memory for unfinished messages. Its
// argument is the value that Buffered will return after the allocation. If the function returns an
// error, Push does not allocate and returns that error.
func (d *Demuxer) SetReserve(reserve func(buffered int) error) { d.reserve = reserve }

// Buffered returns the number of bytes allocated for incomplete messages.
func (d *Demuxer) Buffered() int { return d.buffered }

// Push consumes received bytes up to the end of the first complete message. It returns the message and
// the bytes not consumed, which must be passed to the next Push. The message is nil if p ended before a
// message was complete. It is valid until the next Push; its payload belongs to the caller.
func (d *Demuxer) Push(p []byte) (rest []byte, m *Message, err error) {
	// An empty message is complete with its header, even if no bytes are left.
	for len(p) > 0 || d.cur != nil && d.chunkLeft == 0 {
		if d.cur == nil {
			if p, err = d.readHeader(p); err != nil {
				return nil, nil, err
			}
			if d.cur == nil {
				continue
			}
		}
		n := min(d.chunkLeft, len(p))
		if err := d.buffer(p[:n], len(p)); err != nil {
			return nil, nil, err
		}
		p = p[n:]
		if d.chunkLeft -= n; d.chunkLeft > 0 {
			continue
		}
		cs := d.cur
		d.cur = nil
		if len(cs.payload) < cs.length {
			continue
		}
		if d.deliver(cs) {
			return p, &d.out, nil
		}
		if err := d.handleControl(); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

// readHeader reads bytes of p into the chunk header and, once the header is complete, begins the chunk.
// It returns the rest of p.
func (d *Demuxer) readHeader(p []byte) ([]byte, error) {
	for {
		need := d.headerSize()
		if d.hdrLen >= need {
			break
		}
		if len(p) == 0 {
			return p, nil
		}
		n := min(need-d.hdrLen, len(p))
		if d.probing() {
			n = 1 // decide at the first byte that differs: more may never arrive
		}
		copy(d.hdr[d.hdrLen:], p[:n])
		d.hdrLen += n
		p = p[n:]
	}
	return d.openChunk(p)
}

// basicHeader returns the size of the basic header, the format and the chunk stream ID. Format and ID
// are valid only once size bytes have been read.
func (d *Demuxer) basicHeader() (size int, format uint8, id uint32) {
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

// headerSize returns the size of the chunk header as far as the bytes read so far determine it.
func (d *Demuxer) headerSize() int {
	if d.hdrLen == 0 {
		return 1
	}
	basic, format, id := d.basicHeader()
	size := basic + messageHeaderSize[format]
	if d.hdrLen < size {
		return size
	}
	if format < 3 {
		if uint24(d.hdr[basic:]) == extended {
			size += 4
		}
		return size
	}
	cs := d.findStream(id)
	if cs == nil || !cs.extended || d.repeats == repeatNo {
		return size
	}
	if d.repeats == repeatUnknown && !matches(d.hdr[basic:d.hdrLen], cs.rawTimestamp) {
		return d.hdrLen // not a timestamp, hence payload: open handles it
	}
	return size + 4
}

// probing reports whether the next bytes may be either a repeated timestamp or payload.
func (d *Demuxer) probing() bool {
	if d.repeats != repeatUnknown || d.hdrLen == 0 {
		return false
	}
	basic, format, _ := d.basicHeader()
	return format == 3 && d.hdrLen >= basic
}

func matches(got []byte, field uint32) bool {
	var want [4]byte
	binary.BigEndian.PutUint32(want[:], field)
	return slices.Equal(got, want[:len(got)])
}

// openChunk begins the chunk whose header is complete. If bytes read as an extended timestamp turned out
// to be payload, it adds them to the chunk. It returns the rest of p.
func (d *Demuxer) openChunk(p []byte) ([]byte, error) {
	basic, format, id := d.basicHeader()
	cs, err := d.streamFor(id, format)
	if err != nil {
		return nil, err
	}
	var early []byte
	if format == 3 {
		if early, err = d.continueMessage(cs, d.hdr[basic:d.hdrLen]); err != nil {
			return nil, err
		}
	} else {
		d.discard(cs) // a new header within a message discards that message
		if err := d.beginMessage(cs, format, d.hdr[basic:d.hdrLen]); err != nil {
			return nil, err
		}
	}
	d.hdrLen = 0
	d.cur, d.chunkLeft = cs, min(d.chunkSize, cs.length-len(cs.payload))
	if n := min(len(early), d.chunkLeft); n > 0 {
		if err := d.buffer(early[:n], n); err != nil {
			return nil, err
		}
		d.chunkLeft -= n
		early = early[n:]
	}
	if len(early) > 0 {
		// The bytes that looked like a timestamp exceed the chunk.
		p = append(slices.Clone(early), p...)
	}
	return p, nil
}

// continueMessage handles the header of a type 3 chunk. tail holds the bytes read after its basic
// header; continueMessage returns them as early if they are payload.
func (d *Demuxer) continueMessage(cs *chunkStream, tail []byte) (early []byte, err error) {
	if cs.extended && d.repeats == repeatUnknown {
		if len(tail) == 4 && matches(tail, cs.rawTimestamp) {
			d.repeats = repeatYes
		} else {
			d.repeats = repeatNo
			early = tail
		}
	}
	if cs.started {
		return early, nil
	}
	return early, d.startMessage(cs, cs.delta)
}

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }

func (d *Demuxer) beginMessage(cs *chunkStream, format uint8, h []byte) error {
	cs.rawTimestamp = uint24(h)
	if cs.extended = cs.rawTimestamp == extended; cs.extended {
		cs.rawTimestamp = binary.BigEndian.Uint32(h[messageHeaderSize[format]:])
	}
	if format <= 1 {
		cs.length = int(uint24(h[3:]))
		cs.typ = h[6]
	}
	if format == 0 {
		cs.msid = binary.LittleEndian.Uint32(h[7:])
		cs.timestamp = 0
	}
	// A type 3 chunk that begins a message repeats the delta; after a type 0 chunk it
	// repeats the timestamp as the delta (5.3.1.2.4).
	cs.delta = cs.rawTimestamp
	return d.startMessage(cs, cs.delta)
}

// startMessage begins a message on cs, with a timestamp later than the previous one by delta.
func (d *Demuxer) startMessage(cs *chunkStream, delta uint32) error {
	if limit := d.limits.maxMessage(cs.typ); cs.length > limit {
		return fmt.Errorf("%w: type %d, %d bytes, limit %d", ErrTooLarge, cs.typ, cs.length, limit)
	}
	if !slices.Contains(d.messageStreams, cs.msid) {
		if len(d.messageStreams) >= d.limits.MessageStreams {
			return fmt.Errorf("%w: more than %d message streams", ErrTooMany, d.limits.MessageStreams)
		}
		d.messageStreams = append(d.messageStreams, cs.msid)
	}
	cs.timestamp += delta // wraps by design
	cs.started = true
	return nil
}

// deliver moves the finished message of cs to d.out. It returns false if the message is for the Demuxer
// itself.
func (d *Demuxer) deliver(cs *chunkStream) bool {
	d.out = Message{
		Header:  Header{ChunkStream: cs.id, Stream: cs.msid, Type: cs.typ, Timestamp: cs.timestamp},
		Payload: cs.payload,
	}
	d.discard(cs)
	return cs.typ != TypeSetChunkSize && cs.typ != TypeAbort
}

// handleControl handles a set chunk size or an abort message.
func (d *Demuxer) handleControl() error {
	if len(d.out.Payload) < 4 {
		return fmt.Errorf("%w: type %d with %d bytes", ErrBadControl, d.out.Type, len(d.out.Payload))
	}
	v := binary.BigEndian.Uint32(d.out.Payload)
	if d.out.Type == TypeAbort {
		if cs := d.findStream(v); cs != nil {
			d.discard(cs)
		}
		return nil
	}
	if v == 0 || v > 0x7fffffff {
		return fmt.Errorf("%w: chunk size %d", ErrBadControl, v)
	}
	d.chunkSize = int(min(v, MaxChunkSize))
	return nil
}
