package pacing

import "time"

const (
	// joinPatience is the longest time that a join waits for its turn. If its turn is later, it is deferred:
	// the viewer is told to ask again.
	joinPatience = 2 * time.Second
	// joinBurst is the time whose joins, at the configured rate, need not wait after a quiet period.
	joinBurst = 100 * time.Millisecond
	// joinMaxAway bounds the time after which a deferred viewer may ask again, before random spreading.
	joinMaxAway = 30 * time.Second
)

// The lanes of joins, which are queues in order of priority. Addresses within their share precede addresses
// beyond it; see Shares. Within each of the two, viewers that resume precede viewers that begin.
const (
	resumesWithin = iota
	beginsWithin
	resumesBeyond
	beginsBeyond
	lanes
)

// Joins limits the rate at which viewers join. If thousands reconnect at once, it spreads their cost over
// time, so that other viewers are not affected. The zero value has no limit.
//
// Joins are queued in lanes by priority: viewers that resume before viewers that begin, and addresses that
// have used up their share last. Each lane has the time at which its next join is due. A join waits for
// those of its own lane and of the lanes of higher priority. If it would wait too long, it is deferred: the
// viewer is told when to ask again. These times are spread too, so that the viewers do not return at once.
type Joins struct {
	rate     int              // joins per second; 0: no limit
	next     [lanes]time.Time // when the next join of each lane is due
	nextAway time.Time        // when the next deferred join may ask again
}

// SetRate sets the maximum number of joins per second; 0 means no limit.
func (j *Joins) SetRate(rate int) { j.rate = rate }

// Join is the decision about a join.
type Join struct {
	OK   bool          // the join is accepted, otherwise it is deferred
	Wait time.Duration // if OK, until the join may proceed; otherwise, until the viewer may ask again
}

// Ask decides when a join may proceed. resumes reports whether the viewer resumes an earlier session. chance
// is a random number from 0 up to 1, which spreads the times at which deferred viewers ask again.
func (j *Joins) Ask(now time.Time, resumes bool, chance float64) Join {
	if resumes {
		return j.askLane(now, resumesWithin, chance)
	}
	return j.askLane(now, beginsWithin, chance)
}

// AskBeyond is like Ask, for a viewer whose address has used up its share; see Shares. Viewers within
// their share precede it.
func (j *Joins) AskBeyond(now time.Time, resumes bool, chance float64) Join {
	if resumes {
		return j.askLane(now, resumesBeyond, chance)
	}
	return j.askLane(now, beginsBeyond, chance)
}

func (j *Joins) askLane(now time.Time, lane int, chance float64) Join {
	if j.rate <= 0 {
		return Join{OK: true}
	}
	step := time.Second / time.Duration(j.rate)
	for i := range j.next {
		j.next[i] = later(j.next[i], now.Add(-joinBurst))
	}
	if wait := j.next[lane].Sub(now); wait <= joinPatience {
		j.next[lane] = j.next[lane].Add(step)
		// A join delays the lanes of lower priority, but by no more than joinPatience, so that after a
		// flood in this lane the others are served again soon.
		for i := lane + 1; i < lanes; i++ {
			j.next[i] = later(j.next[i], earlier(j.next[i].Add(step), now.Add(joinPatience+joinBurst)))
		}
		return Join{OK: true, Wait: max(0, wait)}
	}
	j.nextAway = later(j.nextAway, now.Add(joinPatience)).Add(step)
	if furthest := now.Add(joinMaxAway); j.nextAway.After(furthest) {
		j.nextAway = furthest
	}
	wait := j.nextAway.Sub(now)
	return Join{Wait: wait + time.Duration(chance*float64(wait)/2)}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
