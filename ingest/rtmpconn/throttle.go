package rtmpconn

import "time"

// Throttle slows reading from a publisher. Its methods are called by the goroutine that reads the
// connection.
type Throttle interface {
	// Pause returns how long to wait at time now before the next read, and the maximum number of
	// bytes to read then, which is at most size.
	Pause(now time.Time, size int) (wait time.Duration, n int)
	// Read records that n bytes were read at time now.
	Read(now time.Time, n int)
	// Window returns the TCP receive window in bytes for a connection with the given round-trip
	// time. The window is so small that the queue grows at the publisher and not in the relay's
	// kernel. It is 0 while the publisher is not slowed.
	Window(rtt time.Duration) int
}

// maxWindow is a TCP receive window, in bytes, that does not restrict the peer.
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
