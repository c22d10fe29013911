package timeline

import "time"

// origin estimates the wall time at which the stream's clock read 0, as the packet of one
// track that travelled quickest tells it: packets may be late, they are never early. Two buckets in
// turn forget what is older than twice the window, so that a publisher whose clock or
// delay drifts is followed.
type origin struct {
	since     time.Time // when the newer bucket was begun
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
	if !o.begun() {
		o.new, o.since = at, arrived
	}
	if arrived.Sub(o.since) >= window {
		o.old, o.haveOlder = o.new, true
		o.new, o.since = at, arrived
		return
	}
	if at.Before(o.new) {
		o.new = at
	}
}
