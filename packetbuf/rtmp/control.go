package rtmp

import (
	"encoding/binary"
	"fmt"
)

// User control events, section 7.1.7.
const (
	EventStreamBegin     = 0
	EventStreamEOF       = 1
	EventStreamDry       = 2
	EventSetBufferLength = 3
	EventStreamRecorded  = 4
	EventPingRequest     = 6
	EventPingResponse    = 7
)

// Limit types of a set peer bandwidth message.
const (
	LimitHard    = 0
	LimitSoft    = 1
	LimitDynamic = 2
)

func appendControl(dst []byte, typ uint8, payload ...byte) []byte {
	// The message is short enough for a single chunk, whatever the chunk size in use.
	return AppendMessage(dst, Header{ChunkStream: ControlChunkStream, Type: typ}, DefaultChunkSize, payload)
}

func bigEndian(v uint32) (a, b, c, d byte) {
	return byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v) //nolint:gosec // by design
}

func appendControl32(dst []byte, typ uint8, v uint32, more ...byte) []byte {
	a, b, c, d := bigEndian(v)
	return appendControl(dst, typ, append([]byte{a, b, c, d}, more...)...)
}

// AppendSetChunkSize appends a set chunk size message, after which chunks have up to size bytes.
func AppendSetChunkSize(dst []byte, size uint32) []byte {
	return appendControl32(dst, TypeSetChunkSize, size)
}

// AppendAbort appends an abort message, which discards the unfinished message of a chunk stream.
func AppendAbort(dst []byte, chunkStream uint32) []byte {
	return appendControl32(dst, TypeAbort, chunkStream)
}

// AppendAck appends an acknowledgement. received is the number of bytes received so far, modulo 2^32.
func AppendAck(dst []byte, received uint32) []byte {
	return appendControl32(dst, TypeAck, received)
}

// AppendWindowAckSize appends a window acknowledgement size message, which asks the peer to acknowledge
// every size bytes.
func AppendWindowAckSize(dst []byte, size uint32) []byte {
	return appendControl32(dst, TypeWindowAckSize, size)
}

// AppendSetPeerBandwidth appends a set peer bandwidth message. It limits the peer to size bytes without
// an acknowledgement; limit is the limit type.
func AppendSetPeerBandwidth(dst []byte, size uint32, limit uint8) []byte {
	return appendControl32(dst, TypeSetPeerBandwidth, size, limit)
}

// AppendUserControl appends a user control message with an event and its 32-bit value: a message
// stream, or the timestamp of a ping.
func AppendUserControl(dst []byte, event uint16, value uint32) []byte {
	a, b, c, d := bigEndian(value)
	return appendControl(dst, TypeUserControl, byte(event>>8), byte(event), a, b, c, d) //nolint:gosec // by design
}

// ParseUserControl returns the event of a user control message and the event's first value, or 0 if it
// has none.
func ParseUserControl(p []byte) (event uint16, value uint32, err error) {
	if len(p) < 2 {
		return 0, 0, fmt.Errorf("%w: user control of %d bytes", ErrBadControl, len(p))
	}
	if len(p) >= 6 {
		value = binary.BigEndian.Uint32(p[2:])
	}
	return binary.BigEndian.Uint16(p), value, nil
}

// ParseUint32 returns the number in the payload of an acknowledgement, a window acknowledgement size or a
// set peer bandwidth message.
func ParseUint32(p []byte) (uint32, error) {
	if len(p) < 4 {
		return 0, fmt.Errorf("%w: %d bytes, want 4", ErrBadControl, len(p))
	}
	return binary.BigEndian.Uint32(p), nil
}
