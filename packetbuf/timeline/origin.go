package timeline

import "time"

// stale is how long a track may be away before what it knew of the clock is forgotten: by
// then that may have drifted. Not much sooner, since what comes after a stall comes late.
const stale = time.Minute

// origin estimates the wall time at which the stream's clock read 0, from the packets of one
// track that travelled quickest: packets may be late, they are never early. One that seems to
// be early by itself has a wrong time, and moves the estimate by no more than early; two in a
// row count in full. Two buckets in turn forget what is older than twice the window, so that a
// publisher whose clock or delay drifts is followed.
type origin struct {
	since     time.Time // when the newer bucket was begun
	seen      time.Time // when the last packet arrived
	before    time.Time // the origin by the packet before
	new, old  bucket
	haveOlder bool
}

// bucket has the earliest origin seen, by single packets and by two in a row.
type bucket struct{ one, two time.Time }

func (o *origin) begun() bool { return !o.since.IsZero() }

func (o *origin) at() time.Time {
	b := o.new
	if o.haveOlder {
		b.one, b.two = earlier(b.one, o.old.one), earlier(b.two, o.old.two)
	}
	if least := b.two.Add(-early); b.one.Before(least) {
		return least
	}
	return b.one
}

// observe notes a packet that arrived then and stands at dts by the session's clock.
func (o *origin) observe(arrived time.Time, dts time.Duration) {
	at := arrived.Add(-dts)
	if !o.begun() {
		o.new, o.since = bucket{at, at}, arrived
	}
	if o.seen.IsZero() || arrived.Sub(o.seen) >= window {
		o.before = at // what was before tells nothing of now
	}
	o.seen = arrived
	seen := bucket{one: at, two: at}
	if o.before.After(at) {
		seen.two = o.before
	}
	o.before = at
	if age := arrived.Sub(o.since); age >= window {
		o.old, o.haveOlder = o.new, age < stale
		o.new, o.since = seen, arrived
		return
	}
	o.new.one, o.new.two = earlier(o.new.one, seen.one), earlier(o.new.two, seen.two)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
