package timeline

import "time"

// stale is how long a track may be away before what it knew of the clock is forgotten: by
// then that may have drifted. Not much sooner, since what comes after a stall comes late.
const stale = time.Minute

// origin estimates the wall time at which the stream's clock read 0, as the packet of one
// track that travelled quickest tells it: packets may be late, they are never early. Two
// buckets in turn forget what is older than twice the window, so that a publisher whose clock
// or delay drifts is followed.
type origin struct {
	since     time.Time // when the newer bucket was begun
	seen      time.Time // when the last packet arrived
	new, old  time.Time // the earliest origin seen in each
	haveOlder bool
}

func (o *origin) begun() bool { return !o.since.IsZero() }

func (o *origin) at() time.Time {
	if o.haveOlder && o.old.Before(o.new) {
		return o.old
	}
	return o.new
}

func (o *origin) observe(arrived time.Time, dts time.Duration) {
	at := arrived.Add(-dts)
	o.seen = arrived
	if !o.begun() {
		o.new, o.since = at, arrived
	}
	if age := arrived.Sub(o.since); age >= window {
		o.old, o.haveOlder = o.new, age < stale
		o.new, o.since = at, arrived
		return
	}
	if at.Before(o.new) {
		o.new = at
	}
}
