package egress

import (
	"net"
	"time"
)

// Deadline keeps a write deadline on a connection without paying for one at each write: it is
// set anew once a quarter of it has passed, so a write gets between three quarters of the
// timeout and the whole.
type Deadline struct {
	Conn    net.Conn
	Timeout time.Duration
	set     time.Time
}

// Extend makes sure that the next write has its time.
func (d *Deadline) Extend() error {
	now := time.Now()
	if d.Timeout <= 0 || now.Sub(d.set) < d.Timeout/4 {
		return nil
	}
	d.set = now
	return d.Conn.SetWriteDeadline(now.Add(d.Timeout))
}
