package rtmp

import "fmt"

// chunkStream is the state of one chunk stream: the values that a header inherits from earlier headers,
// and the unfinished message.
type chunkStream struct {
	id           uint32
	msid         uint32
	typ          uint8
	started      bool   // a message has begun and is unfinished
	extended     bool   // the last header had an extended timestamp
	rawTimestamp uint32 // the timestamp or delta of the last header, as transmitted
	delta        uint32
	timestamp    uint32
	length       int
	payload      []byte
}

func (d *Demuxer) findStream(id uint32) *chunkStream {
	for _, cs := range d.streams {
		if cs.id == id {
			return cs
		}
	}
	return nil
}

// streamFor returns the chunk stream with the given id. If it does not exist, streamFor creates it. It
// returns an error if a chunk stream cannot begin with a header of that format, or if there are too many.
func (d *Demuxer) streamFor(id uint32, format uint8) (*chunkStream, error) {
	if cs := d.findStream(id); cs != nil {
		return cs, nil
	}
	// librtmp begins chunk stream 2 with a type 1 header. Types 2 and 3 are meaningless
	// without an earlier header.
	if format > 1 {
		return nil, fmt.Errorf("%w: chunk stream %d begins with type %d", ErrBadChunk, id, format)
	}
	if len(d.streams) >= d.limits.ChunkStreams {
		return nil, fmt.Errorf("%w: more than %d chunk streams", ErrTooMany, d.limits.ChunkStreams)
	}
	cs := &chunkStream{id: id}
	d.streams = append(d.streams, cs)
	return cs, nil
}

// discard drops the unfinished message of cs and its buffer.
func (d *Demuxer) discard(cs *chunkStream) {
	d.buffered -= cap(cs.payload)
	cs.payload = nil
	cs.started = false
}

// firstBuffer is the initial buffer size of a message; the buffer grows as the message arrives.
const firstBuffer = 2 << 10

// buffer appends p to the unfinished message. waiting is the total number of bytes received but not yet
// used. The buffer grows in proportion to the bytes of this message that have arrived, never to the size
// given in a header or to the bytes of other messages. Otherwise a peer could make every message allocate
// much and replace it after its first byte.
func (d *Demuxer) buffer(p []byte, waiting int) error {
	cs := d.cur
	if need := len(cs.payload) + len(p); need > cap(cs.payload) {
		size := min(cs.length, max(firstBuffer, 4*len(cs.payload), len(cs.payload)+min(waiting, 8*need)))
		if more := size - cap(cs.payload); d.buffered+more > d.limits.Buffered {
			return fmt.Errorf("%w: more than %d", ErrBuffered, d.limits.Buffered)
		}
		if d.reserve != nil {
			if err := d.reserve(d.buffered + size - cap(cs.payload)); err != nil {
				return err
			}
		}
		b := make([]byte, len(cs.payload), size)
		copy(b, cs.payload)
		d.buffered += size - cap(cs.payload)
		cs.payload = b
	}
	cs.payload = append(cs.payload, p...)
	return nil
}
