package timeline

import (
	"slices"
	"time"
)

const (
	// deepest is how many frames may be decoded before one that is shown before them: the
	// size of the largest decoded picture buffer (H.264, A.3.1; HEVC, A.4.2).
	deepest = 16
	// inversions is how often frames must step back, among the last evidence frames, before
	// they count as sent in decode order with presentation times.
	inversions = 3
	evidence   = 32
)

// reorder makes decode times for video that carries presentation times instead. Its zero value
// passes times through until it learns that it has to: from the decoder configuration, or from
// times that step back among their neighbours, again and again.
type reorder struct {
	declared int    // how many frames the configuration says may be out of order; 0: none, or unknown
	known    bool   // declared was said, also if it is 0
	real     bool   // a composition offset was seen: decode times are what they say
	depth    int    // frames out of order, as learned; 0: times are passed through
	derived  uint64 // decode times that were made
	frames   int
	lastBack int // frames when the times last stepped back
	// backs is how often they did, each time from further on than before, and newest from where.
	backs  int
	newest time.Duration
	recent []time.Duration // of the last frames, in the order in which they came
	sorted []time.Duration // the last depth+1 presentation times, earliest first
}

// restart begins with a new session; what the configuration said stays.
func (r *reorder) restart() {
	*r = reorder{declared: r.declared, known: r.known, derived: r.derived, recent: r.recent[:0], sorted: r.sorted[:0]}
}

// SetReorder says how many frames may precede one in decoding order and follow it in output
// order (H.264 max_num_reorder_frames, E.2.1; HEVC sps_max_num_reorder_pics), and whether the
// configuration tells that at all.
func (t *Timeline) SetReorder(frames int, known bool) {
	t.reorder.declared, t.reorder.known = min(max(frames, 0), deepest), known
}

// decodeTime returns the decode time and the composition offset of a frame that is said to be
// decoded at raw and shown cto later.
func (r *reorder) decodeTime(raw, cto time.Duration) (time.Duration, time.Duration) {
	if cto != 0 {
		r.real, r.depth = true, 0
	}
	if r.real {
		return raw, cto
	}
	r.frames++
	if r.depth == 0 && r.declared > 0 {
		r.depth = r.declared // with real decode times, a frame out of order makes every offset positive
	}
	r.learn(raw)
	if r.depth == 0 {
		return raw, cto
	}
	r.sorted = append(r.sorted, raw)
	slices.Sort(r.sorted)
	if len(r.sorted) > r.depth+1 {
		r.sorted = slices.Delete(r.sorted, 0, len(r.sorted)-r.depth-1)
	}
	if earliest := r.sorted[0]; earliest <= raw && raw-earliest <= leap {
		if earliest < raw && r.backs > 0 {
			r.derived++
		}
		return earliest, raw - earliest
	}
	// A step of the publisher's clock, for others to judge.
	r.sorted = append(r.sorted[:0], raw)
	return raw, cto
}

// learn looks whether raw stands among the times of frames that came before it.
func (r *reorder) learn(raw time.Duration) {
	if r.known && r.declared == 0 {
		return
	}
	if later := r.passedBy(raw); later > 0 {
		if r.frames-r.lastBack > evidence {
			r.backs = 0
		}
		if newest := slices.Max(r.recent); r.backs == 0 || newest > r.newest {
			r.newest = newest
			r.backs++
		}
		r.lastBack = r.frames
		if r.backs >= inversions {
			r.depth = max(r.depth, later)
		}
	}
	r.recent = append(r.recent, raw)
	if len(r.recent) > deepest+1 {
		r.recent = slices.Delete(r.recent, 0, 1)
	}
}

// passedBy returns how many recent frames are shown after one that is shown at raw; 0 unless raw
// stands among them, no further back than so many frames may be out of order.
func (r *reorder) passedBy(raw time.Duration) int {
	n := len(r.recent)
	if n == 0 || slices.Max(r.recent) <= raw {
		return 0
	}
	var buf [deepest + 1]time.Duration
	sorted := append(buf[:0], r.recent...)
	slices.Sort(sorted)
	if sorted[0] >= raw {
		return 0
	}
	reach := deepest * usualStep(sorted)
	later := 0
	for _, other := range sorted {
		if other > raw && other-raw <= reach {
			later++
		}
	}
	return min(later, deepest)
}

// usualStep returns the median distance between neighbours.
func usualStep(sorted []time.Duration) time.Duration {
	var buf [deepest + 1]time.Duration
	steps := buf[:0]
	for i := 1; i < len(sorted); i++ {
		steps = append(steps, sorted[i]-sorted[i-1])
	}
	if len(steps) == 0 {
		return 0
	}
	slices.Sort(steps)
	return steps[len(steps)/2]
}
