package egress

import (
	"sync/atomic"
	"time"
)

// Deadline keeps a write deadline on a connection without paying for one at each write: it is
// set anew once a quarter of it has passed, so a write gets between three quarters of the
// timeout and the whole.
type Deadline struct {
	// Conn is a net.Conn or an http.ResponseController.
	Conn    interface{ SetWriteDeadline(time.Time) error }
	Timeout time.Duration // 0: none
	set     time.Time
	lifted  bool // no deadline is in force, for a Timeout of 0
	ending  atomic.Bool
}

// lastWords is how long all writes after End may take together.
const lastWords = time.Second

// noDeadline is so far away that it is none. The zero time has a server's answers keep the server's own.
const noDeadline = 50 * 365 * 24 * time.Hour

// Extend makes sure that the next write has its time. One goroutine uses it.
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
	if d.ending.Load() { // meanwhile: what End has set may be gone
		return d.Conn.SetWriteDeadline(now.Add(lastWords))
	}
	return nil
}

// End leaves a second to the write that stands and to all that follow. Any goroutine may call
// it.
func (d *Deadline) End() {
	d.ending.Store(true)
	_ = d.Conn.SetWriteDeadline(time.Now().Add(lastWords)) // it fails on a connection that is closed
}
