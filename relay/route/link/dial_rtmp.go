package link

import (
	"bufio"
	"context"

	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	"github.com/holdfast-live/holdfast/qos"
)

// conversation is what has been said in RTMP on a connection.
type conversation struct {
	peer    *peer
	answer  []byte // to be sent next
	sent    uint64 // bytes sent since the handshake
	packets packetQueue
}

// connect does the handshake and the commands up to the phase that the role ends with. The
// buffer is what is read at once, in bytes.
func (d *dialing) connect(as role, buffer int) error {
	t := d.opts.Timeouts
	d.in = bufio.NewReaderSize(d.conn, buffer)
	err := d.run(qos.PhaseHandshake, t.Handshake, func(context.Context) error { return rtmpconn.ClientHandshake(d.in, d.conn) })
	if err != nil {
		return err
	}
	d.peer = newPeer(d.target, as)
	if as == player {
		d.packets.state = d.peer.state
		d.peer.media = d.packets.takeMessage
	}
	d.answer = d.peer.state.connect()
	err = d.run(qos.PhaseConnect, t.Connect, func(context.Context) error { return d.advance(qos.PhasePublish) })
	if err != nil || as == prober {
		return err
	}
	return d.run(qos.PhasePublish, t.Publish, func(context.Context) error { return d.advance(qos.PhaseRunning) })
}

// advance exchanges commands until a phase has begun. What is to be sent in that phase is
// left in d.answer. A peer that closes meanwhile has rejected the request.
func (d *dialing) advance(phase qos.Phase) error {
	// Messages that came together with an earlier answer may have begun a later phase.
	for d.peer.state.phase != phase && d.peer.state.phase != qos.PhaseRunning {
		err := d.sendAnswer()
		if err == nil {
			err = d.receive()
		}
		if closed(err) {
			return &Rejection{Early: true, Err: err}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sendAnswer sends what is due. It leaves it to receive to report that the peer has closed:
// the peer's last messages come first.
func (d *dialing) sendAnswer() error {
	b := d.answer
	d.answer = nil
	if len(b) == 0 {
		return nil
	}
	d.sent += uint64(len(b))
	if _, err := d.conn.Write(b); !closed(err) {
		return err
	}
	return nil
}

// receive handles what the peer sends next.
func (d *dialing) receive() error {
	answer, err := d.peer.receive(d.in)
	d.answer = answer
	return err
}
