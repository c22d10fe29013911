package link

import "time"

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
	return d.hear()
}
