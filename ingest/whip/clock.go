package whip

import "time"

const (
	// maxCorrection is the maximum correction of a track per packet, so that corrections according
	// to sender reports cause no jump.
	maxCorrection = time.Millisecond
	// jumpFrom is the difference above which a correction is made at once.
	jumpFrom = 500 * time.Millisecond
	// maxPlausibleSkew is the difference above which sender reports are ignored, because the tracks
	// of one publisher cannot arrive that far apart. Some senders take the times in their reports
	// from two clocks.
	maxPlausibleSkew = 10 * time.Second
)

// clocks maps the timestamps of all tracks of a publisher to one clock, which starts at the
// publisher's first packet. Until sender reports arrive, the arrival times of packets relate the
// timestamps of different tracks to each other.
type clocks struct {
	epoch     time.Time
	reference *trackClock // the first track with a report; the others are aligned to it
}

// trackClock is the clock of one track.
type trackClock struct {
	clocks  *clocks
	rate    int64 // timestamps per second
	started bool
	last    int64         // newest timestamp, unwrapped
	base    int64         // first timestamp
	offset  time.Duration // time of base on the common clock
	// skew is the publisher's wall clock minus the common clock, according to the last sender
	// report.
	skew    time.Duration
	hasSkew bool
}

func (c *clocks) newTrack(rate int) *trackClock { return &trackClock{clocks: c, rate: int64(rate)} }

// unwrap returns the unwrapped timestamp nearest to the newest.
func (t *trackClock) unwrap(ts uint32) int64 {
	return t.last + int64(int32(ts-uint32(t.last))) //nolint:gosec // the nearest, modulo 2^32
}

// timeOf returns the time on the common clock of timestamp ts, which arrived at time now.
func (t *trackClock) timeOf(now time.Time, ts uint32) time.Duration {
	if !t.started {
		if t.clocks.epoch.IsZero() {
			t.clocks.epoch = now
		}
		t.started, t.last, t.base, t.offset = true, int64(ts), int64(ts), now.Sub(t.clocks.epoch)
	}
	at := t.unwrap(ts)
	t.last = max(t.last, at)
	t.correct()
	return t.timeAt(at)
}

func (t *trackClock) timeAt(at int64) time.Duration {
	d := at - t.base
	whole, part := d/t.rate, d%t.rate
	return time.Duration(whole)*time.Second + time.Duration(part*int64(time.Second)/t.rate) + t.offset
}

// correct aligns the track with the reference track according to sender reports, in small steps.
func (t *trackClock) correct() {
	ref := t.clocks.reference
	if ref == nil || ref == t || !t.hasSkew || !ref.hasSkew {
		return
	}
	off := t.skew - ref.skew // by how much the track is too early
	switch {
	case off > maxPlausibleSkew || off < -maxPlausibleSkew:
		return
	case off < -jumpFrom: // move the reference instead, so that no track's time jumps back
		ref.offset -= off
		ref.skew += off
		return
	case off > jumpFrom:
	case off > maxCorrection:
		off = maxCorrection
	case off < -maxCorrection:
		off = -maxCorrection
	}
	t.offset += off
	t.skew -= off
}

// report records a sender report: the publisher's wall clock had the NTP time ntp (RFC 3550, 6.4.1)
// at timestamp ts.
func (t *trackClock) report(ntp uint64, ts uint32) {
	if !t.started || ntp == 0 {
		return
	}
	wall := time.Duration(ntp>>32)*time.Second + time.Duration((ntp&0xffffffff)*uint64(time.Second)>>32) //nolint:gosec // 32 bits each
	t.skew, t.hasSkew = wall-t.timeAt(t.unwrap(ts)), true
	if t.clocks.reference == nil {
		t.clocks.reference = t
	}
}
