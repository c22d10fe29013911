package link

import (
	"bufio"
	"fmt"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// farLimits bound what a far side may send that sends no media: it has little to say.
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
	// media is given the messages of a stream that is played, and those that may end it; nil
	// where none is.
	media func(*wire.Message) error

	received uint64 // bytes
	told     uint64 // of received, in our last acknowledgement
	window   uint64 // bytes after which the far side wants one; 0: it never said

	acked    uint64 // bytes of ours that have arrived, unwrapped
	lastAck  uint32 // as it stood in the last acknowledgement
	acks     int    // acknowledgements that moved on
	interval uint64 // bytes, the most between two of them
	unwanted int    // messages that mean nothing to this side
}

func newFar(t Target, as role) *far {
	f := &far{talk: newTalk(t, as), demux: wire.NewDemuxer(farLimits())}
	if as == player {
		f.window = playerWindow
	}
	return f
}

// listen waits for bytes and feeds what has come.
func (f *far) listen(in *bufio.Reader) (answer []byte, err error) {
	if _, err := in.Peek(1); err != nil {
		return nil, err
	}
	p, _ := in.Peek(in.Buffered())
	answer, err = f.feed(p)
	_, _ = in.Discard(len(p))
	return answer, err
}

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
		return f.userControl(m)
	case wire.TypeCommandAMF0, wire.TypeCommandAMF3:
		p, ok := m.AMF0()
		if !ok {
			return nil, fmt.Errorf("%w: a command in AMF3", wire.ErrBadAMF)
		}
		c, err := wire.ParseCommand(p)
		if err != nil {
			return nil, err
		}
		answer, err := f.talk.command(c)
		if f.media != nil && f.talk.stream != 0 {
			f.demux.SetLimits(wire.DefaultLimits()) // media may come from now on
		}
		return answer, err
	}
	if f.media != nil {
		return nil, f.media(m)
	}
	f.unwanted++
	return nil, nil
}

func (f *far) userControl(m *wire.Message) ([]byte, error) {
	event, value, err := wire.ParseUserControl(m.Payload)
	switch {
	case err != nil:
		return nil, err
	case event == wire.EventPingRequest:
		return wire.AppendUserControl(nil, wire.EventPingResponse, value), nil
	case event == wire.EventStreamEOF && f.media != nil:
		return nil, f.media(m)
	}
	return nil, nil
}

// playerWindow is after how many bytes an origin is acknowledged that does not say, as by
// players in use.
const playerWindow = 1 << 20

// leastWindow keeps a far side from asking for more acknowledgements than it sends bytes.
const leastWindow = 4 << 10

// ack notes an acknowledgement, whose 32 bits wrap. One that goes back is not believed.
func (f *far) ack(n uint32) {
	if delta := n - f.lastAck; delta < 1<<31 {
		f.acked += uint64(delta)
		f.lastAck = n
		f.interval = max(f.interval, uint64(delta))
		if delta > 0 {
			f.acks++
		}
	}
}
