package watchdog

import (
	"cmp"
	"slices"
	"time"
)

const (
	// burstGap is the gap below which arrivals count as one burst, such as slices of one frame, or
	// segments of one TCP train.
	burstGap = 50 * time.Millisecond
	// gapMemory is how long a gap is remembered.
	gapMemory = 40 * time.Second

	// A gap belongs to the rhythm if such gaps fill nearly all of the time, as for a publisher that
	// sends in bursts or one frame a second, or if they occur regularly, every few seconds.
	// Stalls at random times do not, however many there are.
	minFillCount = 3
	minFillShare = 0.85

	minRegularCount = 5   // within memory: every eight seconds
	minRegularShare = 0.2 // of the time
	// A gap shorter than minRegularGap cannot cause a verdict.
	minRegularGap    = 250 * time.Millisecond
	maxIntervalRatio = 1.5 // longest ratio of the longest to the shortest interval between regular gaps
	minSimilarRatio  = 0.7 // shortest ratio of a gap to a longer one for the two to be similar
)

// rhythm learns which gaps between arrivals belong to a publisher's normal sending: those
// that repeat. A single stall, however long, does not, and gaps that no longer
// occur are forgotten.
type rhythm struct {
	first, last time.Time
	gaps        []gap // of at least burst, oldest first, within memory

	// The fields below were computed from gaps when the last arrival was at computed.
	computed time.Time
	longest  time.Duration
	rhythmic time.Duration
	scratch  []gap
}

type gap struct {
	end    time.Time
	length time.Duration
}

// recordArrival records an arrival.
func (r *rhythm) recordArrival(now time.Time) {
	if r.last.IsZero() {
		r.first, r.last = now, now
		return
	}
	length := now.Sub(r.last)
	if length <= 0 {
		return
	}
	r.last = now
	if length >= burstGap {
		r.gaps = append(r.gaps, gap{now, length})
		r.computed = time.Time{}
	}
	r.dropOld(now)
}

// dropOld removes gaps that ended longer than memory ago.
func (r *rhythm) dropOld(now time.Time) {
	n := 0
	for n < len(r.gaps) && now.Sub(r.gaps[n].end) > gapMemory {
		n++
	}
	if n > 0 {
		r.gaps = slices.Delete(r.gaps, 0, n)
		r.computed = time.Time{}
	}
}

// longestGap returns the longest gap of the last 40 seconds.
func (r *rhythm) longestGap() time.Duration {
	r.recompute()
	return r.longest
}

// rhythmGap returns the longest gap that belongs to the publisher's rhythm; 0 if arrivals are
// never further apart than burst.
func (r *rhythm) rhythmGap() time.Duration {
	r.recompute()
	return r.rhythmic
}

// recomputeInterval is how often the result is recomputed without new or expired gaps: the share of time
// that the gaps fill shrinks while a young session continues without them.
const recomputeInterval = time.Second

func (r *rhythm) recompute() {
	if r.last.Sub(r.computed) < recomputeInterval {
		return
	}
	r.computed = r.last
	r.longest, r.rhythmic = 0, 0
	if len(r.gaps) == 0 {
		return
	}
	r.scratch = append(r.scratch[:0], r.gaps...)
	slices.SortFunc(r.scratch, func(a, b gap) int { return cmp.Compare(b.length, a.length) })
	r.longest = r.scratch[0].length
	observed := min(r.last.Sub(r.first), gapMemory)
	r.rhythmic = max(longestFilling(r.scratch, r.last.Add(-observed), observed), r.longestRecurring(r.scratch, observed))
}

// longestFilling returns the longest of gaps, sorted longest first, that together with similar or longer gaps
// fills the observed time since then; 0 if none does.
func longestFilling(gaps []gap, since time.Time, observed time.Duration) time.Duration {
	var total time.Duration
	similar := 0
	for _, candidate := range gaps {
		least := time.Duration(minSimilarRatio * float64(candidate.length))
		for similar < len(gaps) && gaps[similar].length >= least {
			total += min(gaps[similar].length, gaps[similar].end.Sub(since))
			similar++
		}
		if similar >= minFillCount && float64(total) >= minFillShare*float64(observed) {
			return candidate.length
		}
	}
	return 0
}

// longestRecurring returns the longest of gaps, sorted longest first, that together with similar gaps occurs
// regularly; 0 if none does.
func (r *rhythm) longestRecurring(gaps []gap, observed time.Duration) time.Duration {
	below := observed
	for i := 0; i+minRegularCount <= len(gaps) && gaps[i].length >= minRegularGap; i++ {
		longest := gaps[i].length
		least := time.Duration(minSimilarRatio * float64(longest))
		if longest > below || gaps[i+minRegularCount-1].length < least {
			continue
		}
		below = longest * 9 / 10 // keeps candidates few, however many gaps there are
		if r.occurRegularly(least, longest, observed) {
			return longest
		}
	}
	return 0
}

// occurRegularly reports whether gaps of these lengths end at regular intervals up to the last arrival.
func (r *rhythm) occurRegularly(least, longest, observed time.Duration) bool {
	var total, shortest, most time.Duration
	var before time.Time
	count := 0
	for _, g := range r.gaps {
		if g.length < least || g.length > longest {
			continue
		}
		if count > 0 {
			apart := g.end.Sub(before)
			most = max(most, apart)
			if count == 1 || apart < shortest {
				shortest = apart
			}
		}
		before = g.end
		total += g.length
		count++
	}
	limit := time.Duration(maxIntervalRatio * float64(shortest))
	return count >= minRegularCount && most <= limit && r.last.Sub(before) <= limit && float64(total) >= minRegularShare*float64(observed)
}
