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
	ending  atomic.Bool
}

// lastWords is how long all writes after End may take together.
const lastWords = time.Second

// Extend makes sure that the next write has its time. One goroutine uses it.
func (d *Deadline) Extend() error {
	now := time.Now()
	if d.Timeout <= 0 || now.Sub(d.set) < d.Timeout/4 || d.ending.Load() {
		return nil
	}
	d.set = now
	if err := d.Conn.SetWriteDeadline(now.Add(d.Timeout)); err != nil {
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
