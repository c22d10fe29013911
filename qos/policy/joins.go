package policy

import "time"

const (
	// joinPatience is how long a join waits for its turn before it is sent away.
	joinPatience = 2 * time.Second
	// joinBurst is how much of a second's joins need not wait after a quiet time.
	joinBurst = 100 * time.Millisecond
	// joinFurthest is the longest that one is sent away for.
	joinFurthest = 30 * time.Second
)

// The lanes of joins, the first before all others. A viewer that resumes goes before those that begin,
// and an address within its share before one beyond it; see Shares.
const (
	resumesWithin = iota
	beginsWithin
	resumesBeyond
	beginsBeyond
	lanes
)

// Joins paces the viewers who come: when thousands come back in one instant, what they cost is
// spread over time, so that those who are watching do not notice. The zero value lets everybody
// in at once.
//
// It works with clocks that stand where the next join of a lane is due. A join waits for those of its
// own lane and of the lanes before it. Those who are sent away are given turns of their own, behind
// all who wait, so that they do not come back in one instant either.
type Joins struct {
	rate int              // joins per second; 0: no limit
	next [lanes]time.Time // the turn of the next join of each lane
	away time.Time        // the turn of the next who is sent away
}

// SetRate sets how many joins there may be in a second; 0: no limit.
func (j *Joins) SetRate(rate int) { j.rate = rate }

// Join is a turn.
type Join struct {
	OK   bool
	Wait time.Duration // with OK: until the turn; else until it should ask again
}

// Ask gives a join its turn. chance is a random number from 0 up to 1.
func (j *Joins) Ask(now time.Time, resumes bool, chance float64) Join {
	if resumes {
		return j.ask(now, resumesWithin, chance)
	}
	return j.ask(now, beginsWithin, chance)
}

// AskBeyond is Ask for a viewer whose address has had its share: it comes after all others.
func (j *Joins) AskBeyond(now time.Time, resumes bool, chance float64) Join {
	if resumes {
		return j.ask(now, resumesBeyond, chance)
	}
	return j.ask(now, beginsBeyond, chance)
}

func (j *Joins) ask(now time.Time, lane int, chance float64) Join {
	if j.rate <= 0 {
		return Join{OK: true}
	}
	step := time.Second / time.Duration(j.rate)
	for i := range j.next {
		j.next[i] = later(j.next[i], now.Add(-joinBurst))
	}
	if wait := j.next[lane].Sub(now); wait <= joinPatience {
		j.next[lane] = j.next[lane].Add(step)
		// A join takes a turn from the lanes behind it, but no more than makes those wait as long as
		// they may: after a flood of the one there is a place for the other at once.
		for i := lane + 1; i < lanes; i++ {
			j.next[i] = later(j.next[i], earlier(j.next[i].Add(step), now.Add(joinPatience+joinBurst)))
		}
		return Join{OK: true, Wait: max(0, wait)}
	}
	j.away = later(j.away, now.Add(joinPatience)).Add(step)
	if furthest := now.Add(joinFurthest); j.away.After(furthest) {
		j.away = furthest
	}
	wait := j.away.Sub(now)
	return Join{Wait: wait + time.Duration(chance*float64(wait)/2)}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
