package lifecycle

import "time"

// Parameters for a primary that breaks again soon after it returned from standby.
const (
	healthyFactor = 10               // multiple of its wait that it must feed the stream to count as healthy
	maxRelapses   = 4                // maximum number of doublings of the wait
	minWait       = time.Second      // minimum wait before doubling
	maxWait       = 10 * time.Minute // maximum wait after doubling
)

// relapse records how stable a primary has been since it last returned from standby.
type relapse struct {
	back  time.Time // when the primary last returned; zero: never
	times int       // consecutive breaks soon after a return
}

// switched records a switchover to the primary or to the backup. A break of the primary soon after
// its return is a relapse. Each switchover may set viewers back by up to a GOP, and without a
// growing wait a primary that keeps breaking would cause endless switchovers.
func (r *relapse) switched(now time.Time, primary bool, wait time.Duration) {
	switch {
	case primary:
		r.back = now
	case r.back.IsZero():
	case now.Sub(r.back) < healthyFactor*max(wait, minWait):
		r.times = min(r.times+1, maxRelapses)
	default:
		r.times = 0
	}
}

// ReturnAfter returns how long the primary must be healthy before it feeds the stream again in place
// of a backup. The time doubles with each relapse.
func (m *Machine) ReturnAfter() time.Duration {
	set := m.cfg.BackupReturn
	if m.relapse.times == 0 {
		return set
	}
	return max(set, min(max(set, minWait)<<m.relapse.times, maxWait))
}

// ReturnsIn returns how much of ReturnAfter is left at time now. ok is false unless a backup feeds
// the stream and the primary is the standby. left is 0 while the primary waits for its keyframe.
func (m *Machine) ReturnsIn(now time.Time) (left time.Duration, ok bool) {
	if m.standby == 0 || !m.onBackup {
		return 0, false
	}
	if m.healthy.IsZero() {
		return m.ReturnAfter(), true
	}
	return max(0, m.ReturnAfter()-now.Sub(m.healthy)), true
}
