package rtmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// ErrBadAggregate is wrapped by errors about an aggregate message that is not made of complete messages.
var ErrBadAggregate = errors.New("rtmp: bad aggregate message")

// aggregateHeader is the size of an FLV tag's header: type 1, size 3, timestamp 3 and its high byte, stream 3.
const aggregateHeader = 11

// SplitAggregate calls the function each for every message of an aggregate message (7.1.6), whose
// messages are FLV tags. It shifts their timestamps so that the first has the aggregate's timestamp.
// Payloads are copies, so that keeping one does not keep the whole aggregate in memory. If each returns
// an error, SplitAggregate stops and returns that error.
func SplitAggregate(m *Message, each func(*Message) error) error {
	p := m.Payload
	var offset uint32
	for first := true; len(p) > 0; first = false {
		if len(p) < aggregateHeader {
			return fmt.Errorf("%w: %d bytes of a header", ErrBadAggregate, len(p))
		}
		size := int(uint24(p[1:]))
		timestamp := uint24(p[4:]) | uint32(p[7])<<24
		end := aggregateHeader + size
		if end > len(p) {
			return fmt.Errorf("%w: %d bytes, want %d", ErrBadAggregate, len(p)-aggregateHeader, size)
		}
		if first {
			offset = m.Timestamp - timestamp // wraps by design
		}
		sub := Message{Header: m.Header, Payload: slices.Clone(p[aggregateHeader:end])}
		sub.Type = p[0]
		sub.Timestamp = timestamp + offset
		if sub.Type == TypeAggregate {
			return fmt.Errorf("%w: nested", ErrBadAggregate)
		}
		if err := each(&sub); err != nil {
			return err
		}
		// Some senders omit the back pointer after the last message.
		p = p[min(end+4, len(p)):]
	}
	return nil
}

// AppendAggregated appends a message in the format that messages have within an aggregate message.
func AppendAggregated(dst []byte, m Message) []byte {
	n, t := len(m.Payload), m.Timestamp
	dst = append(dst, m.Type, byte(n>>16), byte(n>>8), byte(n), byte(t>>16), byte(t>>8), byte(t), byte(t>>24), 0, 0, 0)
	dst = append(dst, m.Payload...)
	return binary.BigEndian.AppendUint32(dst, uint32(aggregateHeader+n)) //nolint:gosec // at most MaxPayload
}
