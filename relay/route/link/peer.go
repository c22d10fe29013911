package link

import (
	"bufio"
	"fmt"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// peerLimits returns the limits for a peer that sends no media.
func peerLimits() wire.Limits {
	return wire.Limits{
		ChunkStreams:   16,
		MessageStreams: 8,
		Media:          64 << 10,
		Data:           64 << 10,
		Command:        64 << 10,
		Buffered:       128 << 10,
	}
}

// peer handles the messages of the server at the other end after the handshake. One goroutine at a
// time may use it.
type peer struct {
	state *clientState
	demux *wire.Demuxer
	// media handles the messages of a stream that is being played, and those that may end it. Nil if no
	// stream is played.
	media func(*wire.Message) error

	received    uint64 // bytes
	receivedAck uint64 // value of received at our last acknowledgement
	window      uint64 // bytes after which the peer expects an acknowledgement; 0: unknown

	acked      uint64 // bytes that the peer has acknowledged; does not wrap
	lastAck    uint32 // the last acknowledgement, which wraps
	acks       int    // acknowledgements that increased acked
	interval   uint64 // the most bytes between two of these
	irrelevant int    // messages that mean nothing to this side
}

func newPeer(t Target, as role) *peer {
	p := &peer{state: newClientState(t, as), demux: wire.NewDemuxer(peerLimits())}
	if as == player {
		p.window = playerWindow
	}
	return p
}

// receive waits for bytes and passes all that have arrived to feed.
func (p *peer) receive(in *bufio.Reader) (answer []byte, err error) {
	if _, err := in.Peek(1); err != nil {
		return nil, err
	}
	b, _ := in.Peek(in.Buffered())
	answer, err = p.feed(b)
	_, _ = in.Discard(len(b))
	return answer, err
}

// feed handles bytes from the peer and returns the bytes to send in answer. An error, which is a
// *Rejection or a protocol violation, means that the connection cannot be used any more.
func (p *peer) feed(b []byte) (answer []byte, err error) {
	p.received += uint64(len(b))
	for len(b) > 0 {
		rest, m, err := p.demux.Push(b)
		if err != nil {
			return answer, err
		}
		b = rest
		if m == nil {
			break
		}
		reply, err := p.message(m)
		answer = append(answer, reply...)
		if err != nil {
			return answer, err
		}
	}
	if p.window > 0 && p.received-p.receivedAck >= p.window {
		p.receivedAck = p.received
		answer = wire.AppendAck(answer, uint32(p.received)) //nolint:gosec // wraps by design
	}
	return answer, nil
}

func (p *peer) message(m *wire.Message) ([]byte, error) {
	switch m.Type {
	case wire.TypeAck:
		n, err := wire.ParseUint32(m.Payload)
		if err == nil {
			p.ack(n)
		}
		return nil, err
	case wire.TypeWindowAckSize:
		n, err := wire.ParseUint32(m.Payload)
		p.window = max(uint64(n), minWindow)
		return nil, err
	case wire.TypeUserControl:
		return p.userControl(m)
	case wire.TypeCommandAMF0, wire.TypeCommandAMF3:
		return p.command(m)
	}
	if p.media != nil {
		return nil, p.media(m)
	}
	p.irrelevant++
	return nil, nil
}

func (p *peer) command(m *wire.Message) ([]byte, error) {
	b, ok := m.AMF0()
	if !ok {
		return nil, fmt.Errorf("%w: a command in AMF3", wire.ErrBadAMF)
	}
	cmd, err := wire.ParseCommand(b)
	if err != nil {
		return nil, err
	}
	answer, err := p.state.command(cmd)
	if p.media != nil && p.state.stream != 0 {
		p.demux.SetLimits(wire.DefaultLimits()) // media may arrive from now on
	}
	return answer, err
}

func (p *peer) userControl(m *wire.Message) ([]byte, error) {
	event, value, err := wire.ParseUserControl(m.Payload)
	switch {
	case err != nil:
		return nil, err
	case event == wire.EventPingRequest:
		return wire.AppendUserControl(nil, wire.EventPingResponse, value), nil
	case event == wire.EventStreamEOF && p.media != nil:
		return nil, p.media(m)
	}
	return nil, nil
}

// playerWindow is the number of bytes after which an origin that sets no window is acknowledged, as
// common players do.
const playerWindow = 1 << 20

// minWindow bounds the window from below, so that a peer cannot request more bytes of
// acknowledgements than it sends.
const minWindow = 4 << 10

// ack handles an acknowledgement, whose 32 bits wrap around. An acknowledgement that goes back is
// ignored.
func (p *peer) ack(n uint32) {
	if delta := n - p.lastAck; delta < 1<<31 {
		p.acked += uint64(delta)
		p.lastAck = n
		p.interval = max(p.interval, uint64(delta))
		if delta > 0 {
			p.acks++
		}
	}
}
