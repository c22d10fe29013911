package watchdog

import (
	"math"
	"time"
)

const (
	// halfLife is how soon a long gap is half forgotten.
	halfLife = 10 * time.Minute
	// A stall is a gap long enough to be a retransmission timeout of TCP (0.2 s and up,
	// RFC 6298 as Linux has it), and seldom when less than rare of all time passes in gaps
	// like it.
	stall = 180 * time.Millisecond
	rare  = 0.3
	// The share of time is taken over about this long.
	shareTime = time.Minute
)

// rhythm learns how far apart arrivals may be, from the longest gaps, slowly forgotten.
//
// The longest and not a mean with its deviation, because the gaps that matter are few and
// far out. What they promise depends on how often they come. A publisher that bursts every
// two seconds, or sends five pictures a second, spends all its time in gaps like its
// longest: those are its rhythm. One that seldom stalls sits behind a line that loses
// retransmissions: TCP waits 0.2, 0.4, 0.8 s and so on, so that behind each stall there is
// one of twice or four times its length, only more seldom.
type rhythm struct {
	last  time.Time
	gaps  [3]time.Duration // the longest, longest first
	spent float64          // time that passed lately, in seconds, older time weighing less
	long  float64          // and of it in gaps of at least half the third longest
}

// arrive notes an arrival. A gap teaches at most limit.
func (r *rhythm) arrive(now time.Time, limit time.Duration) {
	gap := now.Sub(r.last)
	begun := !r.last.IsZero()
	r.last = now
	if !begun || gap <= 0 || limit <= 0 {
		return
	}
	keep := math.Exp2(-float64(gap) / float64(halfLife))
	for i := range r.gaps {
		r.gaps[i] = time.Duration(float64(r.gaps[i]) * keep)
	}
	gap = min(gap, limit)
	forget := math.Exp(-float64(gap) / float64(shareTime))
	r.spent, r.long = r.spent*forget+gap.Seconds(), r.long*forget
	if gap >= r.gaps[2]/2 {
		r.long += gap.Seconds()
	}
	for i := range r.gaps {
		if gap > r.gaps[i] {
			gap, r.gaps[i] = r.gaps[i], gap
		}
	}
}

// peak is the longest gap of the recent past.
func (r *rhythm) peak() time.Duration { return r.gaps[0] }

// allowance is how long the next gap may be, beyond what anybody is given. One long gap
// may be an accident and weighs little; three are a habit.
func (r *rhythm) allowance() time.Duration {
	habit := r.gaps[2]
	if habit >= stall && r.long < rare*r.spent {
		return 2*r.peak() + 10*habit
	}
	return 2 * (r.peak() + habit)
}
