package timeline

import "time"

// maxEstimateAge is how long a track may be absent before its estimate is discarded, since the clock may
// have drifted. It is not shorter because packets after a stall arrive late and would give a worse
// estimate.
const maxEstimateAge = time.Minute

// origin estimates the wall time at which the stream's clock read 0. It uses the least delayed packets
// of one track, because packets may be late but never early. A single packet that seems early has a
// wrong time, and moves the estimate by no more than maxEarly; two in a row count in full. Two
// alternating buckets discard packets older than twice estimateWindow, so that the estimate follows a
// publisher whose clock or delay drifts.
type origin struct {
	since        time.Time // start of the newer bucket
	seen         time.Time // arrival of the last packet
	previous     time.Time // the origin according to the last packet
	newer, older bucket
	hasOlder     bool
}

// bucket holds the earliest origins in a window, according to single packets and to two in a row.
type bucket struct{ single, pair time.Time }

func (o *origin) started() bool { return !o.since.IsZero() }

func (o *origin) estimate() time.Time {
	b := o.newer
	if o.hasOlder {
		b.single, b.pair = earlier(b.single, o.older.single), earlier(b.pair, o.older.pair)
	}
	if least := b.pair.Add(-maxEarly); b.single.Before(least) {
		return least
	}
	return b.single
}

// observe records a packet that arrived at time arrived, with decode time dts on the stream's clock.
func (o *origin) observe(arrived time.Time, dts time.Duration) {
	at := arrived.Add(-dts)
	if !o.started() {
		o.newer, o.since = bucket{at, at}, arrived
	}
	if o.seen.IsZero() || arrived.Sub(o.seen) >= estimateWindow {
		o.previous = at // the packet before is too old to confirm this one
	}
	o.seen = arrived
	seen := bucket{single: at, pair: at}
	if o.previous.After(at) {
		seen.pair = o.previous
	}
	o.previous = at
	if age := arrived.Sub(o.since); age >= estimateWindow {
		o.older, o.hasOlder = o.newer, age < maxEstimateAge
		o.newer, o.since = seen, arrived
		return
	}
	o.newer.single, o.newer.pair = earlier(o.newer.single, seen.single), earlier(o.newer.pair, seen.pair)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
