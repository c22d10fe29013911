package rtmp

import "fmt"

// chunkStream is what the headers of one chunk stream inherit from each other, and the
// message that is under way on it.
type chunkStream struct {
	id        uint32
	msid      uint32
	typ       uint8
	started   bool   // a message is under way
	extended  bool   // the last header had an extended timestamp
	field     uint32 // the timestamp or delta of the last header, as it stood there
	delta     uint32
	timestamp uint32
	length    int
	payload   []byte
}

func (d *Demuxer) find(id uint32) *chunkStream {
	for _, cs := range d.streams {
		if cs.id == id {
			return cs
		}
	}
	return nil
}

// stream returns the chunk stream of a header, a new one if need be.
func (d *Demuxer) stream(id uint32, format uint8) (*chunkStream, error) {
	if cs := d.find(id); cs != nil {
		return cs, nil
	}
	// librtmp begins chunk stream 2 with a type 1 header; types 2 and 3 say nothing
	// without a header before them.
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

// drop forgets the message that is under way on cs.
func (d *Demuxer) drop(cs *chunkStream) {
	d.buffered -= cap(cs.payload)
	cs.payload = nil
	cs.started = false
}

// firstBuffer is what a message is given before it has earned more by arriving.
const firstBuffer = 2 << 10

// keep appends p to the message under way; waiting is how many bytes are in hand in all.
// The buffer grows with what has come of the message, never with what a header claims or with what is in
// hand of others: a message may be given up for the next after its first byte.
func (d *Demuxer) keep(p []byte, waiting int) error {
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
