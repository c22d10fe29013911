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

// Joins paces the viewers who come: when thousands come back in one instant, what they cost is
// spread over time, so that those who are watching do not notice. The zero value lets everybody
// in at once.
//
// It works with clocks that stand where the next join is due. Who resumes waits only for others
// who resume; who begins waits for everybody. Those who are sent away are given turns of their
// own, behind all who wait, so that they do not come back in one instant either.
type Joins struct {
	rate    int       // joins per second; 0: no limit
	resumed time.Time // the turn of the next who resumes
	all     time.Time // the turn of the next who begins
	away    time.Time // the turn of the next who is sent away
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
	if j.rate <= 0 {
		return Join{OK: true}
	}
	step := time.Second / time.Duration(j.rate)
	j.resumed, j.all = later(j.resumed, now.Add(-joinBurst)), later(j.all, now.Add(-joinBurst))
	turn := j.all
	if resumes {
		turn = j.resumed
	}
	if wait := turn.Sub(now); wait <= joinPatience {
		// Whoever resumes takes a turn from those who begin, but no more than makes those wait as
		// long as they may: after a flood of the one there is a place for the other at once.
		next := j.all.Add(step)
		if resumes {
			j.resumed = j.resumed.Add(step)
			next = later(j.all, earlier(next, now.Add(joinPatience+joinBurst)))
		}
		j.all = next
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
