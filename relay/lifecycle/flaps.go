package lifecycle

import "time"

const (
	// flapBurst is how often in a row pushes may join or rejoin a stream that has begun: a bad line or an
	// impatient encoder for minutes.
	flapBurst = 300
	// flapEvery is how often one more may. Each gives viewers a discontinuity, and playlists count on
	// no more than one in two seconds on the average.
	flapEvery = 2 * time.Second
)

// flaps bounds how often pushes break and return.
type flaps struct {
	used time.Duration // of flapBurst times flapEvery
	at   time.Time     // when used was brought up to date
}

// take returns how long a push has to wait that returns now; 0: not at all.
func (f *flaps) take(now time.Time) (wait time.Duration) {
	f.used = max(0, f.used-max(0, now.Sub(f.at)))
	f.at = now
	if over := f.used + flapEvery - flapBurst*flapEvery; over > 0 {
		return over
	}
	f.used += flapEvery
	return 0
}

// flapping is the answer to a push that returns too soon, over a new connection or by media on the one
// that was silent; nil where it does not. Before the stream has
// begun there is nothing to break, and takeover: always admits every push.
func (m *Machine) flapping(now time.Time) *Admission {
	if m.state == Idle || m.cfg.Takeover == Always {
		return nil
	}
	wait := m.flaps.take(now)
	if wait == 0 {
		return nil
	}
	return &Admission{Flaps: true, Wait: wait, Reason: "the pushes of this stream break and return too often"}
}
