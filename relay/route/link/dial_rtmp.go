package link

import (
	"bufio"
	"context"

	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	"github.com/holdfast-live/holdfast/qos"
)

// conversation is the state of RTMP on a connection.
type conversation struct {
	peer    *peer
	answer  []byte // bytes to send next
	sent    uint64 // bytes sent since the handshake
	packets packetQueue
}

// connect performs the handshake and the commands, up to the last phase of the role. buffer is the
// size of the read buffer, in bytes.
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

// advance exchanges commands until the given phase has begun. Bytes to send in that phase are left
// in d.answer. A peer that closes the connection meanwhile has rejected the request.
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

// sendAnswer sends the pending bytes. If the peer has closed the connection, it leaves the error to
// receive, which first handles the peer's last messages.
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

// receive handles the next bytes from the peer.
func (d *dialing) receive() error {
	answer, err := d.peer.receive(d.in)
	d.answer = answer
	return err
}
