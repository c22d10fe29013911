package watchdog

import (
	"cmp"
	"slices"
	"time"
)

const (
	// burst is the gap below which arrivals count as one burst: frames of one picture, or of
	// one TCP segment train.
	burst = 50 * time.Millisecond
	// memory is how long a gap is remembered.
	memory = 40 * time.Second

	// A gap is part of the rhythm if such gaps are nearly all there is, as with a publisher that
	// sends in bursts or one frame a second; or if they come regularly, every few seconds.
	// Stalls that come at random are not, however many there are.
	fillCount = 3
	fillShare = 0.85

	regularCount = 5   // in memory: every eight seconds
	regularShare = 0.2 // of the time
	// A shorter gap than regularLeast is far from any verdict.
	regularLeast = 250 * time.Millisecond
	regularApart = 1.5 // how much longer than the shortest the longest time between them may be
	similarSize  = 0.7 // a gap is similar to a longer one if it is at least this part of it
)

// rhythm learns which gaps between arrivals belong to a publisher's way of sending: those
// that repeat. A lone stall, however long, is not part of it, and a gap that no longer
// comes is forgotten.
type rhythm struct {
	first, last time.Time
	gaps        []gap // of at least burst, oldest first, within memory

	// What follows was computed from gaps when the last arrival was at computed.
	computed time.Time
	longest  time.Duration
	period   time.Duration
	scratch  []gap
}

type gap struct {
	end    time.Time
	length time.Duration
}

// arrive notes an arrival.
func (r *rhythm) arrive(now time.Time) {
	if r.last.IsZero() {
		r.first, r.last = now, now
		return
	}
	length := now.Sub(r.last)
	if length <= 0 {
		return
	}
	r.last = now
	if length >= burst {
		r.gaps = append(r.gaps, gap{now, length})
		r.computed = time.Time{}
	}
	r.expire(now)
}

// expire forgets gaps that ended longer ago than memory.
func (r *rhythm) expire(now time.Time) {
	n := 0
	for n < len(r.gaps) && now.Sub(r.gaps[n].end) > memory {
		n++
	}
	if n > 0 {
		r.gaps = slices.Delete(r.gaps, 0, n)
		r.computed = time.Time{}
	}
}

// peak returns the longest gap of the last 40 seconds.
func (r *rhythm) peak() time.Duration {
	r.update()
	return r.longest
}

// regular returns the longest gap that belongs to the publisher's rhythm; 0 if arrivals are
// never further apart than a burst's.
func (r *rhythm) regular() time.Duration {
	r.update()
	return r.period
}

// renewal is how often the result is computed anew although no gap came or went: the share
// of time that the gaps fill shrinks while a young session goes on without them.
const renewal = time.Second

func (r *rhythm) update() {
	if r.last.Sub(r.computed) < renewal {
		return
	}
	r.computed = r.last
	r.longest, r.period = 0, 0
	if len(r.gaps) == 0 {
		return
	}
	r.scratch = append(r.scratch[:0], r.gaps...)
	slices.SortFunc(r.scratch, func(a, b gap) int { return cmp.Compare(b.length, a.length) })
	r.longest = r.scratch[0].length
	observed := min(r.last.Sub(r.first), memory)
	r.period = max(filling(r.scratch, r.last.Add(-observed), observed), r.recurring(r.scratch, observed))
}

// filling returns the longest of gaps, which are sorted from the longest down, that fills the
// observed time since then together with those that are similar or longer; 0 if none does.
func filling(gaps []gap, since time.Time, observed time.Duration) time.Duration {
	var total time.Duration
	similar := 0
	for _, candidate := range gaps {
		least := time.Duration(similarSize * float64(candidate.length))
		for similar < len(gaps) && gaps[similar].length >= least {
			total += min(gaps[similar].length, gaps[similar].end.Sub(since))
			similar++
		}
		if similar >= fillCount && float64(total) >= fillShare*float64(observed) {
			return candidate.length
		}
	}
	return 0
}

// recurring returns the longest of gaps, which are sorted from the longest down, that comes
// regularly together with those that are similar; 0 if none does.
func (r *rhythm) recurring(gaps []gap, observed time.Duration) time.Duration {
	below := observed
	for i := 0; i+regularCount <= len(gaps) && gaps[i].length >= regularLeast; i++ {
		longest := gaps[i].length
		least := time.Duration(similarSize * float64(longest))
		if longest > below || gaps[i+regularCount-1].length < least {
			continue
		}
		below = longest * 9 / 10 // so that there are few candidates, however many gaps
		if r.comeRegularly(least, longest, observed) {
			return longest
		}
	}
	return 0
}

// comeRegularly reports whether gaps of such lengths end at regular times, up to now.
func (r *rhythm) comeRegularly(least, longest, observed time.Duration) bool {
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
	limit := time.Duration(regularApart * float64(shortest))
	return count >= regularCount && most <= limit && r.last.Sub(before) <= limit && float64(total) >= regularShare*float64(observed)
}
