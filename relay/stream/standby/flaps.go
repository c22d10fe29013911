package standby

import "time"

// flapsEvery is the least interval between two warnings that pushes of a stream break and return too
// often.
const flapsEvery = time.Minute

// Flaps limits how often a stream logs that pushes break and return too often.
type Flaps struct {
	refused int // pushes refused since the last warning
	told    time.Time
}

// Refused counts a refused push. If a warning is due, tell is true and refused is the number of
// refused pushes since the last warning.
func (f *Flaps) Refused(now time.Time) (refused int, tell bool) {
	f.refused++
	if now.Sub(f.told) < flapsEvery {
		return 0, false
	}
	refused, f.refused, f.told = f.refused, 0, now
	return refused, true
}

// Returned reports whether to log a warning about a push that falls silent and returns.
func (f *Flaps) Returned(now time.Time) (tell bool) {
	if now.Sub(f.told) < flapsEvery {
		return false
	}
	f.told = now
	return true
}
