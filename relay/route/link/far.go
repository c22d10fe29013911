package link

import (
	"fmt"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// farLimits bound what a far side may send: a server has little to say to a publisher.
func farLimits() wire.Limits {
	return wire.Limits{
		ChunkStreams:   16,
		MessageStreams: 8,
		Media:          64 << 10,
		Data:           64 << 10,
		Command:        64 << 10,
		Buffered:       128 << 10,
	}
}

// far is what comes from the far side after the handshake, and what it asks for. It is
// used by one goroutine at a time.
type far struct {
	talk  *talk
	demux *wire.Demuxer

	received uint64 // bytes
	told     uint64 // of received, in our last acknowledgement
	window   uint64 // bytes after which the far side wants one; 0: it never said

	acked    uint64 // bytes of ours that have arrived, unwrapped
	lastAck  uint32 // as it stood in the last acknowledgement
	unwanted int    // messages that mean nothing to a publisher
}

func newFar(t Target) *far { return &far{talk: newTalk(t), demux: wire.NewDemuxer(farLimits())} }

// feed takes bytes as they come and returns what is to be sent in answer. After an error
// the connection is of no use: a *Rejection, or what breaks the protocol.
func (f *far) feed(p []byte) (answer []byte, err error) {
	f.received += uint64(len(p))
	for len(p) > 0 {
		rest, m, err := f.demux.Push(p)
		if err != nil {
			return answer, err
		}
		p = rest
		if m == nil {
			break
		}
		b, err := f.message(m)
		answer = append(answer, b...)
		if err != nil {
			return answer, err
		}
	}
	if f.window > 0 && f.received-f.told >= f.window {
		f.told = f.received
		answer = wire.AppendAck(answer, uint32(f.received)) //nolint:gosec // wraps by design
	}
	return answer, nil
}

func (f *far) message(m *wire.Message) ([]byte, error) {
	switch m.Type {
	case wire.TypeAck:
		n, err := wire.ParseUint32(m.Payload)
		if err == nil {
			f.ack(n)
		}
		return nil, err
	case wire.TypeWindowAckSize:
		n, err := wire.ParseUint32(m.Payload)
		f.window = max(uint64(n), leastWindow)
		return nil, err
	case wire.TypeUserControl:
		event, value, err := wire.ParseUserControl(m.Payload)
		if err != nil || event != wire.EventPingRequest {
			return nil, err
		}
		return wire.AppendUserControl(nil, wire.EventPingResponse, value), nil
	case wire.TypeCommandAMF0, wire.TypeCommandAMF3:
		p := m.Payload
		if m.Type == wire.TypeCommandAMF3 {
			if len(p) == 0 || p[0] != 0 {
				return nil, fmt.Errorf("%w: a command in AMF3", wire.ErrBadAMF)
			}
			p = p[1:]
		}
		c, err := wire.ParseCommand(p)
		if err != nil {
			return nil, err
		}
		return f.talk.command(c)
	}
	f.unwanted++
	return nil, nil
}

// leastWindow keeps a far side from asking for more acknowledgements than it sends bytes.
const leastWindow = 4 << 10

// ack notes an acknowledgement, whose 32 bits wrap. One that goes back is not believed.
func (f *far) ack(n uint32) {
	if delta := n - f.lastAck; delta < 1<<31 {
		f.acked += uint64(delta)
		f.lastAck = n
	}
}
