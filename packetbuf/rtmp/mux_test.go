package rtmp

import (
	"encoding/binary"

	"pgregory.net/rapid"
)

// muxer writes messages with headers compressed as far as the rules allow and chunks of several
// chunk streams interleaved. It is the counterpart of Demuxer.
type muxer struct {
	chunkSize int
	repeat    bool // repeats extended timestamps in type 3 chunks
	last      map[uint32]*sentHeader
}

type sentHeader struct {
	Header
	length int
	delta  uint32
	field  uint32
}

// header appends the header of a message of n bytes in format, or in the next lower possible
// format.
func (m *muxer) header(dst []byte, format uint8, h Header, n int) []byte {
	prev, known := m.last[h.ChunkStream]
	if !known || prev.Stream != h.Stream {
		format = 0
	} else {
		if format >= 2 && (prev.length != n || prev.Type != h.Type) {
			format = 1
		}
		if format == 3 && h.Timestamp-prev.Timestamp != prev.delta {
			format = 2
		}
	}
	now := &sentHeader{Header: h, length: n}
	switch format {
	case 0:
		now.delta = h.Timestamp
	case 3:
		now.delta = prev.delta
	default:
		now.delta = h.Timestamp - prev.Timestamp
	}
	now.field = now.delta
	m.last[h.ChunkStream] = now
	dst = appendBasic(dst, format, h.ChunkStream)
	if format < 3 {
		dst = appendUint24(dst, min(now.field, extended))
	}
	if format < 2 {
		dst = append(appendUint24(dst, uint32(n)), h.Type)
	}
	if format == 0 {
		dst = binary.LittleEndian.AppendUint32(dst, h.Stream)
	}
	return m.extend(dst, format, now.field)
}

func (m *muxer) extend(dst []byte, format uint8, field uint32) []byte {
	if field < extended || format == 3 && !m.repeat {
		return dst
	}
	return binary.BigEndian.AppendUint32(dst, field)
}

func appendUint24(dst []byte, v uint32) []byte {
	return append(dst, byte(v>>16), byte(v>>8), byte(v))
}

// partialMessage is a partly written message.
type partialMessage struct {
	m    Message
	left []byte
}

// interleave writes messages in chunks, in an order drawn from t, and returns them in
// the order in which they become complete.
func (m *muxer) interleave(t *rapid.T, messages []Message) (wire []byte, whole []Message) {
	var under []*partialMessage
	for len(messages) > 0 || len(under) > 0 {
		if len(messages) > 0 && (len(under) == 0 || rapid.Bool().Draw(t, "begin")) && !inProgress(under, messages[0].ChunkStream) {
			next := messages[0]
			messages = messages[1:]
			format := uint8(rapid.IntRange(0, 3).Draw(t, "format"))
			wire = m.header(wire, format, next.Header, len(next.Payload))
			k := min(m.chunkSize, len(next.Payload))
			wire = append(wire, next.Payload[:k]...)
			under = append(under, &partialMessage{m: next, left: next.Payload[k:]})
		} else {
			o := under[rapid.IntRange(0, len(under)-1).Draw(t, "which")]
			wire = appendBasic(wire, 3, o.m.ChunkStream)
			wire = m.extend(wire, 3, m.last[o.m.ChunkStream].field)
			k := min(m.chunkSize, len(o.left))
			wire = append(wire, o.left[:k]...)
			o.left = o.left[k:]
		}
		rest := under[:0]
		for _, o := range under {
			if len(o.left) == 0 {
				whole = append(whole, o.m)
			} else {
				rest = append(rest, o)
			}
		}
		under = rest
	}
	return wire, whole
}

func inProgress(under []*partialMessage, id uint32) bool {
	for _, o := range under {
		if o.m.ChunkStream == id {
			return true
		}
	}
	return false
}
