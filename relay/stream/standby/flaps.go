package standby

import "time"

// flapsEvery is the least interval at which the operator is told that pushes of a stream break and
// return too often.
const flapsEvery = time.Minute

// Flaps limits what is logged of pushes that break and return too often.
type Flaps struct {
	refused int // since told
	told    time.Time
}

// Refused counts a push that was refused. If it is time to tell, it returns how many were since the
// last time.
func (f *Flaps) Refused(now time.Time) (refused int, tell bool) {
	f.refused++
	if now.Sub(f.told) < flapsEvery {
		return 0, false
	}
	refused, f.refused, f.told = f.refused, 0, now
	return refused, true
}

// Returned reports whether it is time to tell of a push that falls silent and returns.
func (f *Flaps) Returned(now time.Time) (tell bool) {
	if now.Sub(f.told) < flapsEvery {
		return false
	}
	f.told = now
	return true
}
