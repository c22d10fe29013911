package lifecycle

import "time"

// What a primary goes by that breaks again soon after it got the stream back.
const (
	wellAfter = 10               // times what it had to wait: so long it has to feed to count as well
	relapses  = 4                // doublings of the wait, at most
	waitLeast = time.Second      // what is doubled, at least
	waitMost  = 10 * time.Minute // what that comes to, at most
)

// relapse is how a primary has done since it last got the stream back.
type relapse struct {
	back  time.Time // when that was; zero: it has not
	times int       // how many breaks came soon after a return, each after the other
}

// turned notes whether the primary has the stream now, or the backup. A break soon after a return
// is a relapse: each switch may take viewers back by up to a GOP, and a primary that breaks just
// slower than it returns would have it switch without end.
func (r *relapse) turned(now time.Time, primary bool, wait time.Duration) {
	switch {
	case primary:
		r.back = now
	case r.back.IsZero():
	case now.Sub(r.back) < wellAfter*max(wait, waitLeast):
		r.times = min(r.times+1, relapses)
	default:
		r.times = 0
	}
}

// ReturnAfter is how long the primary has to be healthy before it gets the stream back: it
// doubles with each relapse.
func (m *Machine) ReturnAfter() time.Duration {
	set := m.cfg.BackupReturn
	if m.relapse.times == 0 {
		return set
	}
	return max(set, min(max(set, waitLeast)<<m.relapse.times, waitMost))
}

// ReturnsIn is how much of that is left at now, if the backup feeds and the primary is held warm;
// 0 where it waits for its keyframe.
func (m *Machine) ReturnsIn(now time.Time) (left time.Duration, ok bool) {
	if m.spare == 0 || !m.reserve {
		return 0, false
	}
	if m.healthy.IsZero() {
		return m.ReturnAfter(), true
	}
	return max(0, m.ReturnAfter()-now.Sub(m.healthy)), true
}
