package route

import "time"

const (
	// maxInVain bounds the pulls on demand that have not reached an origin: anybody may ask for any
	// name.
	maxInVain = 100
	// absentFor is how long no origin is asked again for a stream that none had.
	absentFor = 3 * time.Second
	// maxAbsent bounds how many such streams are remembered.
	maxAbsent = 4096
)

// answersWithin is how long a pull may take to reach its origin before another may have its place.
const answersWithin = 500 * time.Millisecond

// room reports whether a pull on demand may begin. Where it would be one too many, instead is the
// pull that has to end for it: the oldest of those without a waiting viewer, else the oldest of all, if it
// has had time to reach its origin. r.mu is held.
func (r *Routes) room(at place, now time.Time) (instead *runner, ok bool) {
	if r.runners[at] != nil || len(r.runners) < maxInVain {
		return nil, true
	}
	n := 0
	var oldest, unwanted *runner
	for _, run := range r.runners {
		if !run.group.OnDemand || run.reached.Load() || run.ending() {
			continue
		}
		n++
		if now.Sub(run.started) < answersWithin {
			continue
		}
		if oldest == nil || run.started.Before(oldest.started) {
			oldest = run
		}
		if (unwanted == nil || run.started.Before(unwanted.started)) && r.opts.Audience(run.stream) == 0 {
			unwanted = run
		}
	}
	if n < maxInVain {
		return nil, true
	}
	if unwanted == nil {
		unwanted = oldest
	}
	return unwanted, unwanted != nil
}

// setAbsent notes that no origin has a stream. r.mu is held.
func (r *Routes) setAbsent(stream string, now time.Time) {
	if len(r.absent) >= maxAbsent {
		for name, until := range r.absent {
			if now.After(until) {
				delete(r.absent, name)
			}
		}
	}
	if len(r.absent) < maxAbsent {
		r.absent[stream] = now.Add(absentFor)
	}
}

// isAbsent reports whether no origin had a stream a moment ago. r.mu is held.
func (r *Routes) isAbsent(stream string) bool {
	until, ok := r.absent[stream]
	return ok && time.Now().Before(until)
}
