package whip

import "time"

const (
	// slew is how much a track is moved against the others with each packet, so that what sender
	// reports teach about lip-sync makes no jump.
	slew = time.Millisecond
	// tooFar is what is not made good in small steps.
	tooFar = 500 * time.Millisecond
	// absurd is farther than tracks of one publisher can be from how they arrive: some senders'
	// reports are of two clocks, and those are not believed.
	absurd = 10 * time.Second
)

// clocks put the tracks of one publisher on one clock, which starts at its first packet. Until
// sender reports tell how the tracks' timestamps belong together, they do as they arrived.
type clocks struct {
	epoch     time.Time
	reference *trackClock // the first that a report came for; the others are moved to it
}

// trackClock is the clock of one track.
type trackClock struct {
	of     *clocks
	rate   int64 // timestamps per second
	begun  bool
	last   int64         // the newest timestamp, without wrapping
	base   int64         // the first
	offset time.Duration // where base stands
	// skew is the publisher's wall clock less ours, as the last report has it.
	skew   time.Duration
	skewed bool
}

func (c *clocks) track(rate int) *trackClock { return &trackClock{of: c, rate: int64(rate)} }

// unwrap is where a timestamp of 32 bits stands, next to the newest.
func (t *trackClock) unwrap(ts uint32) int64 {
	return t.last + int64(int32(ts-uint32(t.last))) //nolint:gosec // the nearest, modulo 2^32
}

// at is where a timestamp stands on the publisher's clock.
func (t *trackClock) at(now time.Time, ts uint32) time.Duration {
	if !t.begun {
		if t.of.epoch.IsZero() {
			t.of.epoch = now
		}
		t.begun, t.last, t.base, t.offset = true, int64(ts), int64(ts), now.Sub(t.of.epoch)
	}
	at := t.unwrap(ts)
	t.last = max(t.last, at)
	t.move()
	return t.place(at)
}

func (t *trackClock) place(at int64) time.Duration {
	d := at - t.base
	whole, part := d/t.rate, d%t.rate
	return time.Duration(whole)*time.Second + time.Duration(part*int64(time.Second)/t.rate) + t.offset
}

// move brings the track nearer to where the reports say that it belongs.
func (t *trackClock) move() {
	ref := t.of.reference
	if ref == nil || ref == t || !t.skewed || !ref.skewed {
		return
	}
	off := t.skew - ref.skew // by this much the track stands too early
	switch {
	case off > absurd || off < -absurd:
		return
	case off < -tooFar: // the others are moved on instead: no track's time leaps back
		ref.offset -= off
		ref.skew += off
		return
	case off > tooFar:
	case off > slew:
		off = slew
	case off < -slew:
		off = -slew
	}
	t.offset += off
	t.skew -= off
}

// report takes a sender report: ntp, the publisher's wall clock (RFC 3550, 6.4.1), when its
// timestamp was ts.
func (t *trackClock) report(ntp uint64, ts uint32) {
	if !t.begun || ntp == 0 {
		return
	}
	wall := time.Duration(ntp>>32)*time.Second + time.Duration((ntp&0xffffffff)*uint64(time.Second)>>32) //nolint:gosec // 32 bits each
	t.skew, t.skewed = wall-t.place(t.unwrap(ts)), true
	if t.of.reference == nil {
		t.of.reference = t
	}
}
