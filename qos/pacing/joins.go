package pacing

import "time"

const (
	// joinPatience is how long a join waits for its turn before it is sent away.
	joinPatience = 2 * time.Second
	// joinBurst is the part of a second's joins that need not wait after a quiet time.
	joinBurst = 100 * time.Millisecond
	// joinMaxAway is the longest time for which a join is sent away.
	joinMaxAway = 30 * time.Second
)

// The lanes of joins, in order of priority. Viewers that resume precede those that begin, and an
// address within its share precedes one beyond it; see Shares.
const (
	resumesWithin = iota
	beginsWithin
	resumesBeyond
	beginsBeyond
	lanes
)

// Joins paces viewers that join. If thousands come back at once, it spreads their cost over time, so
// that viewers who are watching do not notice. The zero value admits all at once.
//
// Each lane has the time at which its next join is due. A join waits for those of its own lane and of
// the lanes before it. Joins that are sent away get times of their own, after all that wait, so that
// they do not come back at once either.
type Joins struct {
	rate     int              // joins per second; 0: no limit
	next     [lanes]time.Time // when the next join of each lane is due
	nextAway time.Time        // when the next join that is sent away may ask again
}

// SetRate sets the highest number of joins per second; 0 means no limit.
func (j *Joins) SetRate(rate int) { j.rate = rate }

// Join is the answer to a join.
type Join struct {
	OK   bool
	Wait time.Duration // if OK, until the join may proceed; otherwise, until it may ask again
}

// Ask decides when a join may proceed. chance is a random number from 0 up to 1.
func (j *Joins) Ask(now time.Time, resumes bool, chance float64) Join {
	if resumes {
		return j.askLane(now, resumesWithin, chance)
	}
	return j.askLane(now, beginsWithin, chance)
}

// AskBeyond is Ask for a viewer whose address has used up its share. Its turn is after all others.
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
		// A join delays the lanes behind it, but not beyond their longest wait, so that after a flood
		// in this lane a join in another one gets a turn at once.
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
