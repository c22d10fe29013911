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

// Limit types of set peer bandwidth.
const (
	LimitHard    = 0
	LimitSoft    = 1
	LimitDynamic = 2
)

func appendControl(dst []byte, typ uint8, payload ...byte) []byte {
	// Shorter than the smallest chunk size that any peer uses while these are sent.
	return AppendMessage(dst, Header{ChunkStream: ControlChunkStream, Type: typ}, DefaultChunkSize, payload)
}

func bigEndian(v uint32) (a, b, c, d byte) {
	return byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v) //nolint:gosec // by design
}

func appendControl32(dst []byte, typ uint8, v uint32, more ...byte) []byte {
	a, b, c, d := bigEndian(v)
	return appendControl(dst, typ, append([]byte{a, b, c, d}, more...)...)
}

// AppendSetChunkSize says that the chunks that follow are of size bytes.
func AppendSetChunkSize(dst []byte, size uint32) []byte {
	return appendControl32(dst, TypeSetChunkSize, size)
}

// AppendAbort gives up the message that is under way on a chunk stream.
func AppendAbort(dst []byte, chunkStream uint32) []byte {
	return appendControl32(dst, TypeAbort, chunkStream)
}

// AppendAck says how many bytes have come so far; the number wraps.
func AppendAck(dst []byte, received uint32) []byte {
	return appendControl32(dst, TypeAck, received)
}

// AppendWindowAckSize says after how many bytes the peer is to acknowledge.
func AppendWindowAckSize(dst []byte, size uint32) []byte {
	return appendControl32(dst, TypeWindowAckSize, size)
}

// AppendSetPeerBandwidth limits what the peer may send without an acknowledgement.
func AppendSetPeerBandwidth(dst []byte, size uint32, limit uint8) []byte {
	return appendControl32(dst, TypeSetPeerBandwidth, size, limit)
}

// AppendUserControl appends an event with its 32-bit value: a message stream, or the
// timestamp of a ping.
func AppendUserControl(dst []byte, event uint16, value uint32) []byte {
	a, b, c, d := bigEndian(value)
	return appendControl(dst, TypeUserControl, byte(event>>8), byte(event), a, b, c, d) //nolint:gosec // by design
}

// ParseUserControl returns the event of a user control message and its first value; 0
// where an event has none.
func ParseUserControl(p []byte) (event uint16, value uint32, err error) {
	if len(p) < 2 {
		return 0, 0, fmt.Errorf("%w: user control with %d bytes", ErrBadControl, len(p))
	}
	if len(p) >= 6 {
		value = binary.BigEndian.Uint32(p[2:])
	}
	return binary.BigEndian.Uint16(p), value, nil
}

// ParseUint32 returns the number of an acknowledgement, a window acknowledgement size or
// a set peer bandwidth message.
func ParseUint32(p []byte) (uint32, error) {
	if len(p) < 4 {
		return 0, fmt.Errorf("%w: %d bytes where 4 are due", ErrBadControl, len(p))
	}
	return binary.BigEndian.Uint32(p), nil
}
