package link

import (
	"errors"
	"os"
	"time"

	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
)

// rtmpSource is an RTMP connection on which a stream is played.
type rtmpSource dialing

// fill implements source. It sends pending pongs and acknowledgements, and handles the next bytes.
func (s *rtmpSource) fill(timeout time.Duration) error {
	d := (*dialing)(s)
	if len(d.answer) > 0 && timeout > 0 {
		if err := d.conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
	}
	if err := d.sendAnswer(); err != nil {
		return err
	}
	if timeout == 0 || d.in.Buffered() > 0 || d.peer.demux.Buffered() > 0 {
		return d.receive()
	}
	return d.receiveUntil(d.packets.intake.Due())
}

// receiveUntil handles the next bytes from the origin. If none arrive until time due, it flushes the
// frames that are held. A zero due means no time limit.
func (d *dialing) receiveUntil(due time.Time) error {
	if due.IsZero() {
		return d.receive()
	}
	_ = d.conn.SetReadDeadline(due)
	err := d.receive()
	_ = d.conn.SetReadDeadline(time.Time{})
	switch {
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case rtmpconn.UnreadBytes(d.socket.raw) > 0: // this side is late, not the origin
		return d.receive()
	}
	d.packets.flush(time.Now())
	return nil
}
