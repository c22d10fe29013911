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
	// starting is how long a new session is judged by its longest gap so far, since nothing
	// can have repeated yet.
	starting = 10 * time.Second

	// A gap is part of the rhythm if similar ones fill most of the time, as with a publisher
	// that sends in bursts or one picture a second, or if they come every few seconds.
	fillCount   = 3
	fillShare   = 0.5
	habitCount  = 5 // in memory: every eight seconds
	habitShare  = 0.2
	similarSize = 0.7 // a gap is similar to a shorter one of at least this part of its length
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
	scratch  []time.Duration
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
	if r.last.Sub(r.first) < starting {
		return r.longest
	}
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
	r.scratch = r.scratch[:0]
	for _, g := range r.gaps {
		r.scratch = append(r.scratch, g.length)
	}
	slices.SortFunc(r.scratch, func(a, b time.Duration) int { return cmp.Compare(b, a) })
	r.longest = r.scratch[0]
	r.period = repeating(r.scratch, min(r.last.Sub(r.first), memory))
}

// repeating returns the longest of gaps, which are sorted from the longest down, that has
// enough similar or longer ones within the observed time; 0 if none has.
func repeating(gaps []time.Duration, observed time.Duration) time.Duration {
	var total time.Duration // of the gaps similar to, or longer than, the candidate
	similar := 0
	for _, candidate := range gaps {
		least := time.Duration(similarSize * float64(candidate))
		for similar < len(gaps) && gaps[similar] >= least {
			total += gaps[similar]
			similar++
		}
		share := float64(total) / float64(observed)
		if similar >= fillCount && share >= fillShare || similar >= habitCount && share >= habitShare {
			return candidate
		}
	}
	return 0
}
