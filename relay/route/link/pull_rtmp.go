package link

import (
	"errors"
	"os"
	"time"
)

// rtmpSource is a dial on which a stream is played.
type rtmpSource dialing

// fill says what is due, pongs and acknowledgements, and takes what comes.
func (s *rtmpSource) fill(write time.Duration) error {
	d := (*dialing)(s)
	if len(d.answer) > 0 && write > 0 {
		if err := d.conn.SetWriteDeadline(time.Now().Add(write)); err != nil {
			return err
		}
	}
	if err := d.say(); err != nil {
		return err
	}
	if write == 0 || d.in.Buffered() > 0 || d.far.demux.Buffered() > 0 {
		return d.hear()
	}
	return d.hearUntil(d.taken.intake.Due())
}

// hearUntil takes what the far side says next, and no later than at due the pictures that may be
// whole. The zero time is no bound.
func (d *dialing) hearUntil(due time.Time) error {
	if due.IsZero() {
		return d.hear()
	}
	_ = d.conn.SetReadDeadline(due)
	err := d.hear()
	_ = d.conn.SetReadDeadline(time.Time{})
	switch {
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case d.socket.raw != nil && unreadBytes(d.socket.raw) > 0: // this side is late, and not the origin
		return d.hear()
	}
	d.taken.passHeld(time.Now())
	return nil
}
