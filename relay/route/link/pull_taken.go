package link

import (
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/qos"
)

// taken is the packets that a far side's messages or tags have become.
type taken struct {
	talk   *talk // of RTMP
	intake flv.Intake
	queue  []*packetbuf.Packet
	media  bool // some has come
}

// Bounds of what is held, in packets and bytes of payload, before the first media comes, and
// of the messages in an aggregate.
const (
	maxAhead      = 64
	maxAheadBytes = 16 << 20
	maxAggregated = 4096
)

// bounded refuses a far side that sends everything but media.
func (t *taken) bounded() error {
	bytes := 0
	for _, p := range t.queue {
		bytes += len(p.Payload)
	}
	if len(t.queue) > maxAhead || bytes > maxAheadBytes {
		return fmt.Errorf("%w: %d packets, %d bytes, and no media", ErrProtocol, len(t.queue), bytes)
	}
	return nil
}

// next takes a packet from the queue; nil if there is none.
func (t *taken) next() *packetbuf.Packet {
	if len(t.queue) == 0 {
		return nil
	}
	p := t.queue[0]
	t.queue[0] = nil
	if t.queue = t.queue[1:]; len(t.queue) == 0 {
		t.queue = nil
	}
	return p
}

// body takes the body of a message or tag.
func (t *taken) body(track packetbuf.Track, timestamp uint32, body []byte) error {
	if track == packetbuf.Data && wire.ValidateAMF(body) != nil {
		t.intake.Unreadable(track)
		return nil
	}
	packets, err := t.intake.Take(time.Now(), track, timestamp, body)
	if err != nil {
		return err
	}
	t.put(packets)
	return nil
}

// put adds packets to the queue.
func (t *taken) put(packets []*packetbuf.Packet) {
	for _, p := range packets {
		t.media = t.media || p.Media()
	}
	t.queue = append(t.queue, packets...)
}

// passHeld adds the pictures that are not waited for any longer at now; with the zero time all
// that there are.
func (t *taken) passHeld(now time.Time) {
	packets, _ := t.intake.Flush(now)
	t.put(packets)
}

// message takes a message of RTMP. Media may come before the answer to play, and is one.
func (t *taken) message(m *wire.Message) error {
	if t.talk.stream == 0 {
		return nil
	}
	switch m.Type {
	case wire.TypeUserControl: // the stream's end, or before its beginning the lack of one
		if t.media {
			return ErrUnpublished
		}
	case wire.TypeAggregate:
		n := 0
		return wire.SplitAggregate(m, func(m *wire.Message) error {
			if n++; n > maxAggregated {
				return fmt.Errorf("%w: more than %d messages in an aggregate", ErrProtocol, maxAggregated)
			}
			return t.single(m)
		})
	case wire.TypeAudio, wire.TypeVideo, wire.TypeDataAMF0, wire.TypeDataAMF3:
		return t.single(m)
	}
	return nil
}

func (t *taken) single(m *wire.Message) error {
	body, ok := m.AMF0()
	if !ok {
		t.intake.Unreadable(packetbuf.Data)
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
		if own, err := t.status(body); own || err != nil {
			return err
		}
	} else {
		t.talk.start()
	}
	return t.body(track, m.Timestamp, body)
}

// maxStatus is the longest data message that is looked at for a server's own words, in bytes.
const maxStatus = 4 << 10

// status tells whether a data message is the server's to the player and no part of the
// stream. The error is the stream's end.
func (t *taken) status(body []byte) (own bool, err error) {
	if len(body) > maxStatus {
		return false, nil
	}
	c, err := wire.ParseCommand(body)
	if err != nil {
		return false, nil // body looks at it again
	}
	switch c.Name {
	case "|RtmpSampleAccess":
		return true, nil
	case "onStatus", "onPlayStatus":
		code, _ := information(c)
		if over(code) && t.media && t.talk.phase == qos.PhaseRunning {
			return true, ErrUnpublished
		}
		return true, nil
	}
	return false, nil
}
