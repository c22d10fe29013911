package rtmpconn

import "time"

// Throttle slows the reading of a publisher. Its methods are called from the goroutine that
// reads.
type Throttle interface {
	// Pause returns how long to wait before the next read, and how many of size bytes to read
	// then.
	Pause(now time.Time, size int) (wait time.Duration, n int)
	// Read is told that n bytes were read.
	Read(now time.Time, n int)
	// Window returns the TCP receive window, in bytes, that lets a queue grow at the publisher
	// and not in the kernel here; 0 while nothing is slowed.
	Window(rtt time.Duration) int
}

// maxWindow is no bound on the TCP receive window, in bytes.
const maxWindow = 1 << 30

// pause waits before the next read as long as the throttle says, or until the connection
// begins to end.
func (c *Conn) pause() {
	t := c.r.throttle
	c.r.most = 0
	if t == nil {
		return
	}
	var wait time.Duration
	wait, c.r.most = t.Pause(time.Now(), len(c.r.buf))
	rtt, _ := c.pings.rtt()
	if window := t.Window(rtt); window == 0 {
		c.unclamp()
	} else if wait > 0 {
		c.clamp(window)
	}
	if wait == 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
	}
}

// clamp bounds the TCP receive window until unclamp.
func (c *Conn) clamp(window int) {
	if raw := rawOf(c.nc); raw != nil && !c.r.clamped {
		c.r.clamped = true
		_ = clampWindow(raw, window)
	}
}

func (c *Conn) unclamp() {
	if c.r.clamped {
		c.r.clamped = false
		_ = clampWindow(rawOf(c.nc), maxWindow)
	}
}
