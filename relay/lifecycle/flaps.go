package lifecycle

import "time"

const (
	// flapBurst is how often in a row publishers may join or rejoin a stream that has begun. It
	// covers minutes of a bad connection or of an impatient encoder.
	flapBurst = 300
	// flapEvery is the interval at which further joins are allowed. Each join may give viewers a
	// discontinuity, and playlists assume on average no more than one in two seconds.
	flapEvery = 2 * time.Second
)

// flaps limits how often publishers break and return. It is a leaky bucket.
type flaps struct {
	used    time.Duration // fill level, at most flapBurst times flapEvery
	updated time.Time     // when used was last updated
}

// countReturn counts a return. It returns how long the publisher must wait, or 0 if it need not.
func (f *flaps) countReturn(now time.Time) (wait time.Duration) {
	f.used = max(0, f.used-max(0, now.Sub(f.updated)))
	f.updated = now
	if over := f.used + flapEvery - flapBurst*flapEvery; over > 0 {
		return over
	}
	f.used += flapEvery
	return 0
}

// flapping returns the rejection of a publisher that returns too often, over a new connection or
// by media on a silent one. It returns nil if the publisher is allowed to return. Before the
// stream has begun there is nothing to break, and takeover "always" admits every publisher.
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
