package rtmp

import (
	"math"
	"sync/atomic"
	"time"
)

// How a publisher is slowed.
const (
	// slowBurst is how much above the ceiling may come at once, as time at the ceiling: a
	// keyframe of a publisher that stays below it is no reason to wait.
	slowBurst = 500 * time.Millisecond
	// slowPause is the longest between two reads.
	slowPause = 80 * time.Millisecond
	// slowStarve is how long reading is slowed within one message. What is longer under way is
	// read at full speed, lest it is taken for silence.
	slowStarve = 250 * time.Millisecond
	// slowDelay is by how much media may come later than it did before.
	slowDelay = time.Second
	// slowStep is what is left of the rate at each step down to the ceiling. A step comes not
	// before the one before had slowEvery to work, and media is less late than slowCalm.
	slowStep  = 0.8
	slowEvery = time.Second
	slowCalm  = 300 * time.Millisecond
	// slowRelief is how much faster than that is read while media is later than half of
	// slowDelay: a publisher that sends just as much as it may would never catch up.
	slowRelief = 1.15
	// slowRetry and slowRetryMost bound how long a publisher is let go that did not react.
	slowRetry, slowRetryMost = 30 * time.Second, 4 * time.Minute
	// slowWindow is half the time over which the quickest arrival says what no delay is.
	slowWindow = 5 * time.Second
	// slowLeast is the least that is read at once, in bytes.
	slowLeast = 512
)

// slow has a publisher send less by reading more slowly than it sends: what it sends then
// stands in its own queue, and an encoder that looks at that lowers its bitrate. One that does
// not is let go before its media is late, and tried again after a while.
//
// All but the ceiling is of the goroutine that reads.
type slow struct {
	ceiling atomic.Uint64 // bits per second, a float64; 0: none

	at    time.Time // of the last read
	debt  float64   // bytes above what the ceiling let through
	whole time.Time // when the last message was whole

	came    incoming
	delay   delay
	late    time.Duration // how late the last media was
	free    time.Time     // until then everything is read as it comes
	tries   time.Time     // since when it has been slowed; zero: it is not
	step    float64       // bytes per second that are read now, on the way down to the ceiling
	stepped time.Time     // when that was changed
	retry   time.Duration // how long it is let go the next time
}

func newSlow(now time.Time) *slow { return &slow{at: now, whole: now, retry: slowRetry} }

// limit sets the ceiling in bits per second. It may be called from anywhere.
func (s *slow) limit(bits float64) {
	if !(bits > 0) {
		bits = 0
	}
	s.ceiling.Store(math.Float64bits(bits))
}

// rate is how many bytes per second are read now; 0: all that come.
func (s *slow) rate(now time.Time) float64 {
	ceiling := math.Float64frombits(s.ceiling.Load()) / 8
	if ceiling == 0 {
		s.tries, s.free, s.retry = time.Time{}, time.Time{}, slowRetry
		return 0
	}
	if now.Before(s.free) {
		return 0
	}
	if s.tries.IsZero() {
		s.tries, s.stepped, s.step = now, now, slowStep*s.came.rate
	}
	if s.step > ceiling && s.late < slowCalm && now.Sub(s.stepped) >= slowEvery {
		s.step, s.stepped = slowStep*s.step, now
	}
	s.step = max(s.step, ceiling)
	if s.late > slowDelay/2 {
		return slowRelief * s.step
	}
	return s.step
}

// pause is how long to wait before the next read, and how many bytes of size to read then.
func (s *slow) pause(now time.Time, size int) (wait time.Duration, most int) {
	rate := s.rate(now)
	if rate == 0 || now.Sub(s.whole) >= slowStarve {
		return 0, size
	}
	over := s.owed(now, rate) - rate*slowBurst.Seconds()
	if over <= 0 {
		return 0, size
	}
	wait = min(time.Duration(over/rate*float64(time.Second)), slowPause)
	return wait, min(size, max(slowLeast, int(rate*slowPause.Seconds())))
}

// owed is the debt at now.
func (s *slow) owed(now time.Time, rate float64) float64 {
	return max(0, s.debt-now.Sub(s.at).Seconds()*rate)
}

// read notes that n bytes were read. What was read at full speed is not charged later.
func (s *slow) read(now time.Time, n int) {
	if rate := s.rate(now); rate > 0 {
		s.debt = min(s.owed(now, rate)+float64(n), 2*rate*slowBurst.Seconds())
	} else {
		s.debt = 0
		s.came.add(now, n)
	}
	s.at = now
}

// media notes that a message of media was whole, with its timestamp in milliseconds, and lets
// the publisher go if that came too late.
func (s *slow) media(now time.Time, timestamp uint32) {
	s.whole = now
	slowed := !s.tries.IsZero()
	s.late = s.delay.observe(now, timestamp, slowed)
	switch {
	case !slowed:
	case s.late > slowDelay:
		s.free, s.tries, s.debt = now.Add(s.retry), time.Time{}, 0
		s.retry = min(2*s.retry, slowRetryMost)
	case now.Sub(s.tries) >= s.retry: // it has reacted
		s.retry = slowRetry
	}
}

// incoming is what a publisher sends that is not slowed.
type incoming struct {
	rate  float64 // bytes per second; 0 while unknown
	since time.Time
	bytes int
}

func (i *incoming) add(now time.Time, n int) {
	if span := now.Sub(i.since); span >= slowWindow {
		if !i.since.IsZero() {
			i.rate = float64(i.bytes) / span.Seconds()
		}
		i.since, i.bytes = now, 0
	}
	i.bytes += n
}

// delay tells by how much media comes later than it once did. Only differences of timestamps
// count, in 32 bits that wrap.
type delay struct {
	begun    bool
	since    time.Time // when the newer of two windows began
	new, old uint32    // the quickest arrivals in them: arrival less timestamp, in ms
}

// observe notes a message and returns how late it is. While kept, what is quick is not
// forgotten: the delay may be our own.
func (d *delay) observe(now time.Time, timestamp uint32, kept bool) time.Duration {
	way := uint32(now.UnixMilli()) - timestamp //nolint:gosec // wraps by design
	if !d.begun {
		d.begun, d.since, d.new, d.old = true, now, way, way
	}
	if !kept && now.Sub(d.since) >= slowWindow {
		d.since, d.old, d.new = now, d.new, way
	}
	if before(way, d.new) {
		d.new = way
	}
	quickest := d.new
	if before(d.old, quickest) {
		quickest = d.old
	}
	return time.Duration(int32(way-quickest)) * time.Millisecond //nolint:gosec // wraps by design
}

func before(a, b uint32) bool { return int32(a-b) < 0 } //nolint:gosec // wraps by design

// holdBack waits before the next read as long as a slowed publisher has to. It is done when the
// connection begins to end.
func (c *conn) holdBack() {
	s := c.r.slow
	c.r.most = 0
	if s == nil {
		return
	}
	var wait time.Duration
	wait, c.r.most = s.pause(time.Now(), len(c.r.buf))
	if wait == 0 {
		if s.tries.IsZero() {
			c.widen()
		}
		return
	}
	c.narrow()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.ctx.Done():
	}
}

// Windows of TCP towards a publisher.
const (
	slowWay     = 100 * time.Millisecond // what may stand in our kernel, as time at the ceiling
	leastWindow = 16 << 10
	wideWindow  = 1 << 30
)

// narrow keeps what stands in our kernel's buffer small: only then a queue grows where the
// publisher looks.
func (c *conn) narrow() {
	tcp := tcpOf(c.nc)
	if c.r.clamped || tcp == nil {
		return
	}
	c.r.clamped = true
	rtt, _ := c.pings.rtt()
	bits := math.Float64frombits(c.r.slow.ceiling.Load())
	window := int(bits / 8 * (slowWay + 2*rtt).Seconds())
	_ = clampWindow(tcp, max(window, leastWindow))
}

// widen undoes narrow.
func (c *conn) widen() {
	if c.r.clamped {
		c.r.clamped = false
		_ = clampWindow(tcpOf(c.nc), wideWindow)
	}
}
