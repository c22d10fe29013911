package timeline

import (
	"slices"
	"time"
)

const (
	// maxReorder is the largest number of frames that may precede a frame in decoding order and follow it
	// in output order: the size of the largest decoded picture buffer (H.264, A.3.1; HEVC, A.4.2).
	maxReorder = 16
	// minInversions is how many times in a row timestamps must step back, at most inversionFrames frames
	// apart, before they are treated as presentation times in decode order.
	minInversions   = 3
	inversionFrames = 32
)

// reorder derives decode times for video that carries presentation times instead. It passes times
// through until it detects such video, from the decoder configuration or from times that repeatedly step
// back among their neighbours. The zero value is ready to use.
type reorder struct {
	declared   int    // reordering depth in frames according to the configuration; 0: none or unknown
	known      bool   // the configuration declares the depth, so that declared 0 means none
	hasOffsets bool   // a composition offset was seen, so that decode times are real
	depth      int    // reordering depth in force, in frames; 0: times are passed through
	derived    uint64 // number of derived decode times
	frames     int
	lastBack   int // value of frames when the times last stepped back
	// stepsBack is how often the times stepped back, each time from a later time than before; latestBack
	// is the time before the last such step.
	stepsBack  int
	latestBack time.Duration
	recent     []time.Duration // times of the last frames, in the order of arrival
	sorted     []time.Duration // the last depth+1 presentation times, earliest first
}

// restart resets r for a new session. It keeps what the configuration declared.
func (r *reorder) restart() {
	*r = reorder{declared: r.declared, known: r.known, derived: r.derived, recent: r.recent[:0], sorted: r.sorted[:0]}
}

// SetReorder sets the reordering depth of the video: how many frames may precede a frame in decoding
// order and follow it in output order (H.264 max_num_reorder_frames, E.2.1; HEVC
// sps_max_num_reorder_pics). known reports whether the configuration declares the depth.
func (t *Timeline) SetReorder(frames int, known bool) {
	t.reorder.declared, t.reorder.known = min(max(frames, 0), maxReorder), known
}

// decodeTime returns the decode time and the composition offset of a frame that arrived with decode time
// raw and composition offset cto.
func (r *reorder) decodeTime(raw, cto time.Duration) (time.Duration, time.Duration) {
	if cto != 0 {
		r.hasOffsets, r.depth = true, 0
	}
	if r.hasOffsets {
		return raw, cto
	}
	r.frames++
	if r.depth == 0 && r.declared > 0 {
		r.depth = r.declared // with real decode times, frames out of order make every offset positive
	}
	r.detect(raw)
	if r.depth == 0 {
		return raw, cto
	}
	r.sorted = append(r.sorted, raw)
	slices.Sort(r.sorted)
	if len(r.sorted) > r.depth+1 {
		r.sorted = slices.Delete(r.sorted, 0, len(r.sorted)-r.depth-1)
	}
	if earliest := r.sorted[0]; earliest <= raw && raw-earliest <= maxLead {
		if earliest < raw && r.stepsBack > 0 {
			r.derived++
		}
		return earliest, raw - earliest
	}
	// A step of the publisher's clock: leave it to Timeline.judge.
	r.sorted = append(r.sorted[:0], raw)
	return raw, cto
}

// detect updates the detected reordering depth from whether raw lies among the times of earlier frames.
func (r *reorder) detect(raw time.Duration) {
	if r.known && r.declared == 0 {
		return
	}
	if later := r.passedBy(raw); later > 0 {
		if r.frames-r.lastBack > inversionFrames {
			r.stepsBack = 0
		}
		if newest := slices.Max(r.recent); r.stepsBack == 0 || newest > r.latestBack {
			r.latestBack = newest
			r.stepsBack++
		}
		r.lastBack = r.frames
		if r.stepsBack >= minInversions {
			r.depth = max(r.depth, later)
		}
	}
	r.recent = append(r.recent, raw)
	if len(r.recent) > maxReorder+1 {
		r.recent = slices.Delete(r.recent, 0, 1)
	}
}

// passedBy returns how many recent frames have a later presentation time than raw. It returns 0 if raw
// does not lie among their times. It ignores frames too far ahead for reordering to be the cause.
func (r *reorder) passedBy(raw time.Duration) int {
	n := len(r.recent)
	if n == 0 || slices.Max(r.recent) <= raw {
		return 0
	}
	var buf [maxReorder + 1]time.Duration
	sorted := append(buf[:0], r.recent...)
	slices.Sort(sorted)
	if sorted[0] >= raw {
		return 0
	}
	reach := maxReorder * usualStep(sorted)
	later := 0
	for _, other := range sorted {
		if other > raw && other-raw <= reach {
			later++
		}
	}
	return min(later, maxReorder)
}

// usualStep returns the median distance between neighbours; 0 if there are fewer than two times.
func usualStep(sorted []time.Duration) time.Duration {
	var buf [maxReorder + 1]time.Duration
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
