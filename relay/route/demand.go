package route

import "time"

const (
	// maxUnreached bounds the pulls on demand that have not reached an origin, because any viewer may
	// request any name.
	maxUnreached = 100
	// absentFor is how long origins are not asked again for a stream that none of them had.
	absentFor = 3 * time.Second
	// maxAbsent bounds the number of such streams that are remembered.
	maxAbsent = 4096
)

// reachTimeout is how long a pull may take to reach its origin before another may replace it.
const reachTimeout = 500 * time.Millisecond

// makeRoom reports whether a pull on demand may start. If there are too many pulls, instead is the
// pull to end in its place: the oldest without a waiting viewer, or else the oldest. Only pulls that
// have had reachTimeout to reach their origin are considered. r.mu is held.
func (r *Routes) makeRoom(at runnerKey, now time.Time) (instead *runner, ok bool) {
	if r.runners[at] != nil || len(r.runners) < maxUnreached {
		return nil, true
	}
	n := 0
	var oldest, unwanted *runner
	for _, run := range r.runners {
		if !run.group.OnDemand || run.reached.Load() || run.ending() {
			continue
		}
		n++
		if now.Sub(run.started) < reachTimeout {
			continue
		}
		if oldest == nil || run.started.Before(oldest.started) {
			oldest = run
		}
		if (unwanted == nil || run.started.Before(unwanted.started)) && r.opts.Audience(run.stream) == 0 {
			unwanted = run
		}
	}
	if n < maxUnreached {
		return nil, true
	}
	if unwanted == nil {
		unwanted = oldest
	}
	return unwanted, unwanted != nil
}

// setAbsent records that no origin has the stream. r.mu is held.
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

// isAbsent reports whether no origin had the stream when they were last asked, less than absentFor
// ago. r.mu is held.
func (r *Routes) isAbsent(stream string) bool {
	until, ok := r.absent[stream]
	return ok && time.Now().Before(until)
}
