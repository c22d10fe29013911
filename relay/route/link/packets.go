package link

import (
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/qos"
)

// packetQueue converts the messages or tags of an origin to packets, and holds the packets until
// they are read.
type packetQueue struct {
	state  *clientState // of RTMP
	intake flv.Intake
	queue  []*packetbuf.Packet
	media  bool // some media has arrived
}

// Bounds of the packets held before the first media arrives, in number and bytes of payload, and
// of the number of messages in an aggregate.
const (
	maxAhead      = 64
	maxAheadBytes = 16 << 20
	maxAggregated = 4096
)

// checkBound returns an error if an origin has sent too many packets without media.
func (q *packetQueue) checkBound() error {
	bytes := 0
	for _, p := range q.queue {
		bytes += len(p.Payload)
	}
	if len(q.queue) > maxAhead || bytes > maxAheadBytes {
		return fmt.Errorf("%w: %d packets, %d bytes, and no media", ErrProtocol, len(q.queue), bytes)
	}
	return nil
}

// pop returns the next packet, or nil if there is none.
func (q *packetQueue) pop() *packetbuf.Packet {
	if len(q.queue) == 0 {
		return nil
	}
	p := q.queue[0]
	q.queue[0] = nil
	if q.queue = q.queue[1:]; len(q.queue) == 0 {
		q.queue = nil
	}
	return p
}

// takeBody handles the body of a message or tag.
func (q *packetQueue) takeBody(track packetbuf.Track, timestamp uint32, body []byte) error {
	if track == packetbuf.Data && wire.ValidateAMF(body) != nil {
		q.intake.Unreadable(track)
		return nil
	}
	packets, err := q.intake.Take(time.Now(), track, timestamp, body)
	if err != nil {
		return err
	}
	q.push(packets)
	return nil
}

func (q *packetQueue) push(packets []*packetbuf.Packet) {
	for _, p := range packets {
		q.media = q.media || p.Media()
	}
	q.queue = append(q.queue, packets...)
}

// flush adds the frames that are complete because no more of their packets arrived by time now. With
// the zero time it adds all pending frames.
func (q *packetQueue) flush(now time.Time) {
	packets, _ := q.intake.Flush(now)
	q.push(packets)
}

// takeMessage handles an RTMP message. Media may arrive before the answer to play, and then counts
// as the answer.
func (q *packetQueue) takeMessage(m *wire.Message) error {
	if q.state.stream == 0 {
		return nil
	}
	switch m.Type {
	case wire.TypeUserControl: // the end of the stream; before its first media, that the stream is not live yet
		if q.media {
			return ErrUnpublished
		}
	case wire.TypeAggregate:
		n := 0
		return wire.SplitAggregate(m, func(m *wire.Message) error {
			if n++; n > maxAggregated {
				return fmt.Errorf("%w: more than %d messages in an aggregate", ErrProtocol, maxAggregated)
			}
			return q.takeSingle(m)
		})
	case wire.TypeAudio, wire.TypeVideo, wire.TypeDataAMF0, wire.TypeDataAMF3:
		return q.takeSingle(m)
	}
	return nil
}

func (q *packetQueue) takeSingle(m *wire.Message) error {
	body, ok := m.AMF0()
	if !ok {
		q.intake.Unreadable(packetbuf.Data)
		return nil
	}
	typ := m.Type
	if typ == wire.TypeDataAMF3 {
		typ = wire.TypeDataAMF0
	}
	track, ok := flv.TrackOf(typ)
	if !ok {
		return nil
	}
	if track == packetbuf.Data {
		if notStream, err := q.takeStatus(body); notStream || err != nil {
			return err
		}
	} else {
		q.state.start()
	}
	return q.takeBody(track, m.Timestamp, body)
}

// maxStatus is the longest data message that may be a status, in bytes.
const maxStatus = 4 << 10

// takeStatus handles a data message that the server addresses to the player. notStream reports
// whether body is such a message, which is not part of the stream. The error says that the stream
// has ended.
func (q *packetQueue) takeStatus(body []byte) (notStream bool, err error) {
	if len(body) > maxStatus {
		return false, nil
	}
	cmd, err := wire.ParseCommand(body)
	if err != nil {
		return false, nil // takeBody handles it
	}
	switch cmd.Name {
	case "|RtmpSampleAccess":
		return true, nil
	case "onStatus", "onPlayStatus":
		code, _ := information(cmd)
		if isEnd(code) && q.media && q.state.phase == qos.PhaseRunning {
			return true, ErrUnpublished
		}
		return true, nil
	}
	return false, nil
}
