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

	// A gap belongs to the rhythm in two cases. Either similar gaps fill nearly all of the time, as
	// for a publisher that sends in bursts or one frame a second. Or similar gaps occur regularly,
	// every few seconds. Stalls at random times do not belong to the rhythm, however many there
	// are.
	minFillCount = 3
	minFillShare = 0.85

	minRegularCount = 5   // within gapMemory: one every eight seconds
	minRegularShare = 0.2 // of the time
	// A gap shorter than minRegularGap is never long enough for the verdict Late.
	minRegularGap    = 250 * time.Millisecond
	maxIntervalRatio = 1.5 // maximum ratio of the longest to the shortest interval between regular gaps
	minSimilarRatio  = 0.7 // minimum ratio of a gap to a longer one for the two to be similar
)

// rhythm learns which gaps between arrivals belong to a publisher's normal sending: gaps that
// repeat. A single stall, however long, does not belong to it. Gaps that no longer occur are
// forgotten.
type rhythm struct {
	first, last time.Time
	gaps        []gap // at least burstGap long and not older than gapMemory, oldest first

	// The fields below hold results that were computed from gaps. computed is the time of the last
	// arrival before that.
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

// dropOld removes gaps that ended before now minus gapMemory.
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

// rhythmGap returns the longest gap that belongs to the publisher's rhythm, or 0 if no gap does.
func (r *rhythm) rhythmGap() time.Duration {
	r.recompute()
	return r.rhythmic
}

// recomputeInterval is how often results are recomputed if no gap is added or removed. In a young
// session, the share of time that gaps fill shrinks as the session continues.
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

// longestFilling returns the longest gap that, together with similar or longer gaps, fills most of
// the observed time, which begins at time since. It returns 0 if there is none. gaps must be sorted
// by length, longest first.
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

// longestRecurring returns the longest gap that, together with similar gaps, occurs regularly. It
// returns 0 if there is none. gaps must be sorted by length, longest first.
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

// occurRegularly reports whether the gaps with a length from least to longest end at regular
// intervals up to the last arrival.
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
