package lifecycle

import "time"

const (
	// flapBurst is how many times in a row publishers may join or rejoin a stream that has begun. It
	// covers minutes of a bad connection or of an impatient encoder.
	flapBurst = 300
	// flapEvery is the interval at which further joins are allowed. Each join may cause a discontinuity
	// for viewers, and playlists assume at most one in two seconds on average.
	flapEvery = 2 * time.Second
)

// flaps limits how often publishers break and return. It is a leaky bucket.
type flaps struct {
	used    time.Duration // fill level, at most flapBurst times flapEvery
	updated time.Time     // when used was last updated
}

// countReturn counts a return. It returns how long the publisher must wait, or 0 if it may return
// now.
func (f *flaps) countReturn(now time.Time) (wait time.Duration) {
	f.used = max(0, f.used-max(0, now.Sub(f.updated)))
	f.updated = now
	if over := f.used + flapEvery - flapBurst*flapEvery; over > 0 {
		return over
	}
	f.used += flapEvery
	return 0
}

// flapping returns the rejection of a publisher that returns too often, by a new connection or by
// media after a silence. It returns nil if the publisher may return. A stream that has not begun
// cannot break, so there every publisher may return. The same applies if takeover is "always".
func (m *Machine) flapping(now time.Time) *Admission {
	if m.state == Idle || m.cfg.Takeover == Always {
		return nil
	}
	wait := m.flaps.countReturn(now)
	if wait == 0 {
		return nil
	}
	return &Admission{Flaps: true, Wait: wait, Reason: "the publishers of this stream break and return too often"}
}
