package rtmp

import (
	"math"
	"sync/atomic"
	"time"
)

// Constants of throttle.
const (
	// throttleBurst is how much may be read at full speed beyond what the ceiling allows, as time
	// at the ceiling. A keyframe of a publisher that stays below the ceiling must not be delayed.
	throttleBurst = 500 * time.Millisecond
	// maxPause is the maximum time between two reads.
	maxPause = 80 * time.Millisecond
	// maxMessageTime is how long reading is slowed within one message. If a message takes longer,
	// the rest is read at full speed. Otherwise the publisher would seem to be silent.
	maxMessageTime = 250 * time.Millisecond
	// maxLateness is the maximum delay of media that slowing may cause.
	maxLateness = time.Second
	// stepFactor is the factor by which each step lowers the rate, until it reaches the ceiling. A
	// step follows at least stepInterval after the previous one, and only while media is less late
	// than stepLateness.
	stepFactor   = 0.8
	stepInterval = time.Second
	stepLateness = 300 * time.Millisecond
	// catchUpFactor is the factor by which reading is faster while media is later than half of
	// maxLateness. Otherwise a publisher that sends exactly at the allowed rate would never catch
	// up.
	catchUpFactor = 1.15
	// minRetry and maxRetry bound how long a publisher is not slowed after it has failed to lower
	// its bitrate.
	minRetry, maxRetry = 30 * time.Second, 4 * time.Minute
	// delayWindow is half of the period over which the minimum delay is determined.
	delayWindow = 5 * time.Second
	// minRead is the minimum number of bytes to read at once.
	minRead = 512
	// maxQueued is how much may wait in the relay's kernel, as time at the ceiling.
	maxQueued = 100 * time.Millisecond
	// minWindow is the minimum TCP receive window, in bytes, of a publisher that is slowed.
	minWindow = 16 << 10
)

// throttle makes a publisher lower its bitrate. The relay reads more slowly than the publisher
// sends, so that data waits in the publisher's own queue. An encoder that watches its queue then
// lowers its bitrate. If the publisher does not react, the relay reads at full speed before media
// is too late, and slows the publisher again after a while. throttle implements rtmpconn.Throttle.
//
// All fields except ceiling are used only by the goroutine that reads the connection.
type throttle struct {
	ceiling atomic.Uint64 // bits per second, as the bits of a float64; 0 for none

	at    time.Time // time of the last read
	debt  float64   // bytes read beyond what the ceiling allows
	whole time.Time // when the last message was complete

	unslowed rateMeter
	delay    delay
	late     time.Duration // lateness of the last media
	free     time.Time     // until this time the publisher is not slowed
	since    time.Time     // when slowing began; zero while the publisher is not slowed
	step     float64       // current rate in bytes per second, lowered in steps to the ceiling
	stepped  time.Time     // when step was last changed
	retry    time.Duration // how long the publisher is not slowed if it does not react
}

func newThrottle(now time.Time) *throttle { return &throttle{at: now, whole: now, retry: minRetry} }

// limit sets the ceiling in bits per second; 0 means none. It may be called from any goroutine.
func (t *throttle) limit(bits float64) {
	if !(bits > 0) {
		bits = 0
	}
	t.ceiling.Store(math.Float64bits(bits))
}

// bytesPerSecond returns the ceiling in bytes per second, or 0 if there is none.
func (t *throttle) bytesPerSecond() float64 { return math.Float64frombits(t.ceiling.Load()) / 8 }

// rate returns how many bytes per second may be read at time now; 0 means no limit. It also begins
// to slow the publisher and lowers the rate in steps.
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

// Read implements rtmpconn.Throttle. Bytes that are read without a limit do not slow later reads.
func (t *throttle) Read(now time.Time, n int) {
	if rate := t.rate(now); rate > 0 {
		t.debt = min(t.debtAt(now, rate)+float64(n), 2*rate*throttleBurst.Seconds())
	} else {
		t.debt = 0
		t.unslowed.add(now, n)
	}
	t.at = now
}

// Window implements rtmpconn.Throttle. The window is small, so that little data waits in the
// relay's kernel and the queue grows at the publisher, which watches it.
func (t *throttle) Window(rtt time.Duration) int {
	if t.since.IsZero() {
		return 0
	}
	return max(int(t.bytesPerSecond()*(maxQueued+2*rtt).Seconds()), minWindow)
}

// media records that a media message was complete at time now. timestamp is the message's timestamp
// in milliseconds. If media is too late, the publisher is read at full speed for a while.
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

// rateMeter measures how fast a publisher sends while it is not slowed.
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

// delay measures how late media is, compared with the earliest media of the last seconds. It
// compares timestamps by their 32-bit difference, because they wrap.
type delay struct {
	begun    bool
	since    time.Time // when the newer of two windows began
	new, old uint32    // minimum delays in the two windows: arrival minus timestamp, in ms
}

// observe returns how late a message is that arrived at time now. If keep is set, it does not
// forget the minimum delay, because the relay itself may cause the current delay.
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

// before reports whether a is less than b, modulo 2^32.
func before(a, b uint32) bool { return int32(a-b) < 0 } //nolint:gosec // wraps by design
