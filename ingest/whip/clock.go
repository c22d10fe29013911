package whip

import "time"

const (
	// slew is the largest correction of a track per packet, so that corrections from sender reports
	// cause no jump.
	slew = time.Millisecond
	// tooFar is the difference from which a correction is made at once.
	tooFar = 500 * time.Millisecond
	// absurd is the difference from which sender reports are not believed, because arrivals of one
	// publisher's tracks cannot differ that much: some senders' reports are from two clocks.
	absurd = 10 * time.Second
)

// clocks map the tracks of one publisher to one clock, which starts at its first packet. Until sender
// reports relate the tracks' timestamps, their arrivals do.
type clocks struct {
	epoch     time.Time
	reference *trackClock // the first track with a report; the others are aligned to it
}

// trackClock is the clock of one track.
type trackClock struct {
	of     *clocks
	rate   int64 // timestamps per second
	begun  bool
	last   int64         // newest timestamp, unwrapped
	base   int64         // first timestamp
	offset time.Duration // time of base on the publisher's clock
	// skew is the publisher's wall clock minus the relay's, by the last report.
	skew   time.Duration
	skewed bool
}

func (c *clocks) track(rate int) *trackClock { return &trackClock{of: c, rate: int64(rate)} }

// unwrap returns the unwrapped timestamp nearest to the newest.
func (t *trackClock) unwrap(ts uint32) int64 {
	return t.last + int64(int32(ts-uint32(t.last))) //nolint:gosec // the nearest, modulo 2^32
}

// at returns the time of a timestamp on the publisher's clock.
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

// move aligns the track with the reference according to the sender reports, in small steps.
func (t *trackClock) move() {
	ref := t.of.reference
	if ref == nil || ref == t || !t.skewed || !ref.skewed {
		return
	}
	off := t.skew - ref.skew // the track is too early by this
	switch {
	case off > absurd || off < -absurd:
		return
	case off < -tooFar: // move the reference instead, so that no track's time jumps back
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

// report records a sender report: the publisher's wall clock was ntp (RFC 3550, 6.4.1) at the
// timestamp ts.
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
