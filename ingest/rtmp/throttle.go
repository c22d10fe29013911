package rtmp

import (
	"math"
	"sync/atomic"
	"time"
)

// How a publisher is slowed.
const (
	// throttleBurst is how much above the ceiling is read at full speed, as time at the ceiling:
	// a keyframe of a publisher that stays below the ceiling must not wait.
	throttleBurst = 500 * time.Millisecond
	// maxPause is the longest time between two reads.
	maxPause = 80 * time.Millisecond
	// maxMessageTime is how long reading is slowed within one message. A longer message is read
	// at full speed, lest the publisher is taken for silent.
	maxMessageTime = 250 * time.Millisecond
	// maxLateness is by how much media may be later than before it was slowed.
	maxLateness = time.Second
	// stepFactor is the part of the rate that is left at each step down to the ceiling. A step
	// comes stepInterval after the one before at the earliest, and only while media is less late
	// than stepLateness.
	stepFactor   = 0.8
	stepInterval = time.Second
	stepLateness = 300 * time.Millisecond
	// catchUpFactor is how much faster is read while media is later than half of maxLateness: a
	// publisher that sends exactly what it may would never catch up.
	catchUpFactor = 1.15
	// minRetry and maxRetry bound how long a publisher that did not react is not slowed.
	minRetry, maxRetry = 30 * time.Second, 4 * time.Minute
	// delayWindow is half the time over which the least delay is looked for.
	delayWindow = 5 * time.Second
	// minRead is the least that is read at once, in bytes.
	minRead = 512
	// maxQueued is how much may wait in the kernel here, as time at the ceiling.
	maxQueued = 100 * time.Millisecond
	// minWindow is the least TCP receive window of a publisher that is slowed, in bytes.
	minWindow = 16 << 10
)

// throttle makes a publisher send less by reading more slowly than it sends: what it sends
// waits in its own queue, and an encoder that watches its queue lowers its bitrate. A
// publisher that does not react is read at full speed before its media is too late, and is
// slowed again after a while. It implements rtmpconn.Throttle.
//
// All but the ceiling belongs to the goroutine that reads.
type throttle struct {
	ceiling atomic.Uint64 // bits per second, as the bits of a float64; 0: none

	at    time.Time // of the last read
	debt  float64   // bytes read beyond what the ceiling allows
	whole time.Time // when the last message was complete

	unslowed rateMeter
	delay    delay
	late     time.Duration // lateness of the last media
	free     time.Time     // until then everything is read as it comes
	since    time.Time     // since when the publisher has been slowed; zero: it is not
	step     float64       // bytes per second that are read now, on the way down to the ceiling
	stepped  time.Time     // when step was last changed
	retry    time.Duration // how long the publisher is not slowed if it does not react
}

func newThrottle(now time.Time) *throttle { return &throttle{at: now, whole: now, retry: minRetry} }

// limit sets the ceiling in bits per second, 0 for none. It may be called from any goroutine.
func (t *throttle) limit(bits float64) {
	if !(bits > 0) {
		bits = 0
	}
	t.ceiling.Store(math.Float64bits(bits))
}

// bytesPerSecond returns the ceiling; 0 is none.
func (t *throttle) bytesPerSecond() float64 { return math.Float64frombits(t.ceiling.Load()) / 8 }

// rate returns how many bytes per second are read now; 0 is no bound.
func (t *throttle) rate(now time.Time) float64 {
	ceiling := t.bytesPerSecond()
	if ceiling == 0 {
		t.since, t.free, t.retry = time.Time{}, time.Time{}, minRetry
		return 0
	}
	if now.Before(t.free) {
		return 0
	}
	if t.since.IsZero() {
		t.since, t.stepped, t.step = now, now, stepFactor*t.unslowed.rate
	}
	if t.step > ceiling && t.late < stepLateness && now.Sub(t.stepped) >= stepInterval {
		t.step, t.stepped = stepFactor*t.step, now
	}
	t.step = max(t.step, ceiling)
	if t.late > maxLateness/2 {
		return catchUpFactor * t.step
	}
	return t.step
}

// Pause implements rtmpconn.Throttle.
func (t *throttle) Pause(now time.Time, size int) (wait time.Duration, n int) {
	rate := t.rate(now)
	if rate == 0 || now.Sub(t.whole) >= maxMessageTime {
		return 0, size
	}
	over := t.debtAt(now, rate) - rate*throttleBurst.Seconds()
	if over <= 0 {
		return 0, size
	}
	wait = min(time.Duration(over/rate*float64(time.Second)), maxPause)
	return wait, min(size, max(minRead, int(rate*maxPause.Seconds())))
}

func (t *throttle) debtAt(now time.Time, rate float64) float64 {
	return max(0, t.debt-now.Sub(t.at).Seconds()*rate)
}

// Read implements rtmpconn.Throttle. What is read at full speed is not charged later.
func (t *throttle) Read(now time.Time, n int) {
	if rate := t.rate(now); rate > 0 {
		t.debt = min(t.debtAt(now, rate)+float64(n), 2*rate*throttleBurst.Seconds())
	} else {
		t.debt = 0
		t.unslowed.add(now, n)
	}
	t.at = now
}

// Window implements rtmpconn.Throttle. A queue grows where the publisher watches it only
// while the kernel here holds little.
func (t *throttle) Window(rtt time.Duration) int {
	if t.since.IsZero() {
		return 0
	}
	return max(int(t.bytesPerSecond()*(maxQueued+2*rtt).Seconds()), minWindow)
}

// media is told that a message of media was complete at now, with its timestamp in
// milliseconds. If it is too late, the publisher is read at full speed for a while.
func (t *throttle) media(now time.Time, timestamp uint32) {
	t.whole = now
	slowed := !t.since.IsZero()
	t.late = t.delay.observe(now, timestamp, slowed)
	switch {
	case !slowed:
	case t.late > maxLateness:
		t.free, t.since, t.debt = now.Add(t.retry), time.Time{}, 0
		t.retry = min(2*t.retry, maxRetry)
	case now.Sub(t.since) >= t.retry: // it has reacted
		t.retry = minRetry
	}
}

// rateMeter measures what a publisher sends while it is not slowed.
type rateMeter struct {
	rate  float64 // bytes per second; 0 while unknown
	since time.Time
	bytes int
}

func (m *rateMeter) add(now time.Time, n int) {
	if span := now.Sub(m.since); span >= delayWindow {
		if !m.since.IsZero() {
			m.rate = float64(m.bytes) / span.Seconds()
		}
		m.since, m.bytes = now, 0
	}
	m.bytes += n
}

// delay measures by how much media is later than the earliest in the last seconds. Timestamps
// are compared as differences of 32 bits, which wrap.
type delay struct {
	begun    bool
	since    time.Time // when the newer of two windows began
	new, old uint32    // the least delays in the two windows: arrival less timestamp, in ms
}

// observe returns how late a message is. With keep the least delay is not forgotten, since
// the delay may be caused here.
func (d *delay) observe(now time.Time, timestamp uint32, keep bool) time.Duration {
	offset := uint32(now.UnixMilli()) - timestamp //nolint:gosec // wraps by design
	if !d.begun {
		d.begun, d.since, d.new, d.old = true, now, offset, offset
	}
	if !keep && now.Sub(d.since) >= delayWindow {
		d.since, d.old, d.new = now, d.new, offset
	}
	if before(offset, d.new) {
		d.new = offset
	}
	least := d.new
	if before(d.old, least) {
		least = d.old
	}
	return time.Duration(int32(offset-least)) * time.Millisecond //nolint:gosec // wraps by design
}

// before reports whether a is less than b in arithmetic that wraps.
func before(a, b uint32) bool { return int32(a-b) < 0 } //nolint:gosec // wraps by design
