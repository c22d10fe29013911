package egress

import (
	"sync/atomic"
	"time"
)

// Deadline keeps a write deadline on a connection without setting it for each write. It sets the
// deadline again only after a quarter of the timeout has passed. A write therefore has at least
// three quarters of the timeout.
type Deadline struct {
	// Conn is a net.Conn or an http.ResponseController.
	Conn    interface{ SetWriteDeadline(time.Time) error }
	Timeout time.Duration // 0 disables the deadline
	set     time.Time
	lifted  bool // the deadline is disabled, for a Timeout of 0
	ending  atomic.Bool
}

// endTimeout is how long all writes after End may take together.
const endTimeout = time.Second

// noDeadline is so long that it never expires. With the zero Time, an HTTP server's own deadline
// would apply.
const noDeadline = 50 * 365 * 24 * time.Hour

// Extend extends the deadline for the next write. It is not safe for concurrent use.
func (d *Deadline) Extend() error {
	now, timeout := time.Now(), d.Timeout
	if d.ending.Load() || d.lifted || timeout > 0 && now.Sub(d.set) < timeout/4 {
		return nil
	}
	if timeout <= 0 {
		d.lifted, timeout = true, noDeadline
	}
	d.set = now
	if err := d.Conn.SetWriteDeadline(now.Add(timeout)); err != nil && !d.lifted {
		return err
	}
	if d.ending.Load() { // End was called meanwhile, and its deadline may be overwritten
		return d.Conn.SetWriteDeadline(now.Add(endTimeout))
	}
	return nil
}

// End limits the current write and all later writes to one second in total. It is safe for
// concurrent use.
func (d *Deadline) End() {
	d.ending.Store(true)
	_ = d.Conn.SetWriteDeadline(time.Now().Add(endTimeout)) // fails if the connection is closed
}
