// Package rtmp reads and writes the elements of RTMP: chunks, messages and AMF0. It limits the size and
// number of everything it reads, because the input comes from untrusted peers.
//
// The package is pure: no goroutine, no clock, no I/O. Section numbers refer to Adobe's RTMP
// specification 1.0.
package rtmp

// Message types, section 5.4 and 7.1.
const (
	TypeSetChunkSize     = 1
	TypeAbort            = 2
	TypeAck              = 3
	TypeUserControl      = 4
	TypeWindowAckSize    = 5
	TypeSetPeerBandwidth = 6
	TypeAudio            = 8
	TypeVideo            = 9
	TypeDataAMF3         = 15
	TypeSharedAMF3       = 16
	TypeCommandAMF3      = 17
	TypeDataAMF0         = 18
	TypeSharedAMF0       = 19
	TypeCommandAMF0      = 20
	TypeAggregate        = 22
)

const (
	// DefaultChunkSize is the chunk size in bytes, in each direction, until the sender changes it.
	DefaultChunkSize = 128
	// MaxChunkSize and MaxPayload, in bytes, are the largest value of the 24-bit message length.
	MaxChunkSize = 0xffffff
	MaxPayload   = 0xffffff

	// ControlChunkStream is the chunk stream that protocol control messages must use.
	ControlChunkStream = 2

	// extended as the value of the 24-bit timestamp field means that a 32-bit timestamp follows.
	extended = 0xffffff
)

// Header is the header of a message.
type Header struct {
	ChunkStream uint32 // 2 to 65599
	Stream      uint32 // the message stream; 0 is the connection itself
	Type        uint8
	Timestamp   uint32 // milliseconds, wrapping after 49.7 days
}

// Message is one RTMP message.
type Message struct {
	Header
	Payload []byte
}

// AMF0 returns the AMF0 part of a data or command message. In a message of an AMF3 type it follows a byte
// that is 0; if that byte has another value, the message contains AMF3 and ok is false. For any other
// message AMF0 returns the whole payload.
func (m *Message) AMF0() (payload []byte, ok bool) {
	if m.Type != TypeCommandAMF3 && m.Type != TypeDataAMF3 {
		return m.Payload, true
	}
	if len(m.Payload) == 0 || m.Payload[0] != 0 {
		return nil, false
	}
	return m.Payload[1:], true
}
