package link

import (
	"bufio"
	"context"

	"github.com/holdfast-live/holdfast/qos"
)

// talked is how far the conversation in RTMP has come on a connection.
type talked struct {
	far    *far
	answer []byte // to be sent next
	said   uint64 // bytes sent since the handshake
	taken  taken  // of a player
}

// converse leads an RTMP connection to the end of the phase that its role ends with.
func (d *dialing) converse(as role, buffer int) error {
	t := d.opts.Timeouts
	d.in = bufio.NewReaderSize(d.conn, buffer)
	err := d.run(qos.PhaseHandshake, t.Handshake, func(context.Context) error { return shake(d.in, d.conn) })
	if err != nil {
		return err
	}
	d.far = newFar(d.target, as)
	if as == player {
		d.taken.talk = d.far.talk
		d.far.media = d.taken.message
	}
	d.answer = d.far.talk.open()
	err = d.run(qos.PhaseConnect, t.Connect, func(context.Context) error { return d.until(qos.PhasePublish) })
	if err != nil || as == prober {
		return err
	}
	return d.run(qos.PhasePublish, t.Publish, func(context.Context) error { return d.until(qos.PhaseRunning) })
}

// until talks until the talk has come to a phase. What is to be said in that phase is left
// in d.answer. A far side that leaves meanwhile has said no.
func (d *dialing) until(phase qos.Phase) error {
	// What came in one piece with the answer before may have been the answer to this.
	for d.far.talk.phase != phase && d.far.talk.phase != qos.PhaseRunning {
		err := d.say()
		if err == nil {
			err = d.hear()
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

// say sends what is due. That the far side has closed is for hear to tell, after its last
// words.
func (d *dialing) say() error {
	b := d.answer
	d.answer = nil
	if len(b) == 0 {
		return nil
	}
	d.said += uint64(len(b))
	if _, err := d.conn.Write(b); !closed(err) {
		return err
	}
	return nil
}

// hear takes what the far side says next.
func (d *dialing) hear() error {
	answer, err := d.far.listen(d.in)
	d.answer = answer
	return err
}
