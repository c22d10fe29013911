package policy

import "time"

// What a group goes by beside its configuration.
const (
	// sustained is for how long media must flow until the backoff starts anew.
	sustained = 10 * time.Second
	// quiet is how long media may pause in that.
	quiet = 5 * time.Second
	// worseFor is how long a score must be worse for the stream to leave its route.
	worseFor = 10 * time.Second
	// calmAfter is how long after a switch there is none for a score, at least.
	calmAfter = 30 * time.Second
	// maxFlaps doublings of the health that a return needs, at most.
	maxFlaps = 4
	// leastWindow and windowRises: failures closer upon each other than this are flapping, and
	// as long in health makes one of them forgotten.
	leastWindow = 5 * time.Minute
	windowRises = 10
	// slowRedials of the longest backoff, within bounds, lie between dials of a far side that
	// will not have us.
	slowRedials = 10
	slowLeast   = time.Minute
	slowMost    = 10 * time.Minute
)

// route is what a group knows of one of its routes.
type route struct {
	name  string
	score float64

	// A dial and a probe that were asked for and not answered yet; unwanted: cancelled since.
	dialing, dialUnwanted  bool
	probing, probeUnwanted bool
	engaged                bool      // dialled until it is up, while none carries
	due                    time.Time // no dial before
	probe                  time.Time // the next; zero: not planned
	tries                  int       // redials since media was sustained: what the backoff counts
	fails                  int       // dials and connections without sustained media, in a row
	denied, gaveUp         bool
	failure                string
	failed                 time.Time
	bad                    bool      // the last that was heard of it is a failure
	healthySince           time.Time // zero: not known to be
	flaps                  int
	won                    bool      // it carries by taking the stream from one that lived
	media, lastMedia       time.Time // since when, and when last, of this connection
	proved                 bool      // this connection has had sustained media
	state                  State     // as it was at since
	since                  time.Time
}

// fail notes a failure of any kind. A route that goes from health to failure again soon after
// the last failure flaps; weight says how much that one counts.
func (r *route) fail(now time.Time, what string, window time.Duration, weight int) {
	if !r.healthySince.IsZero() {
		r.flaps = max(0, r.flaps-int(now.Sub(r.healthySince)/window))
		if !r.failed.IsZero() && now.Sub(r.failed) < window {
			r.flaps = min(r.flaps+weight, maxFlaps)
		}
	}
	r.bad, r.healthySince = true, time.Time{}
	r.failure, r.failed = what, now
}

// weight is how much it counts that the stream has to leave a route. One that had taken it over
// has cost a switch, and costs another.
func (r *route) weight() int {
	if r.won {
		return 2
	}
	return 1
}

// risen is when a healthy route has been so for as long as it must: rise, doubled by each
// flap. A window of health makes a flap forgotten.
func (r *route) risen(rise, window time.Duration) time.Time {
	at := r.healthySince.Add(need(rise, r.flaps))
	for k := 1; k <= r.flaps; k++ {
		held := max(need(rise, r.flaps-k), time.Duration(k)*window)
		if t := r.healthySince.Add(held); t.Before(at) {
			at = t
		}
	}
	return at
}

// need is the health that a return needs after so many flaps.
func need(rise time.Duration, flaps int) time.Duration {
	if flaps == 0 {
		return rise
	}
	return max(rise, time.Second) << flaps
}

// hopeful tells whether a route's dials may come through soon.
func (r *route) hopeful() bool { return !r.denied && !r.gaveUp }

// forgive forgets what a route's dials came to.
func (r *route) forgive() {
	r.tries, r.fails, r.flaps = 0, 0, 0
	r.denied, r.gaveUp = false, false
	r.due, r.failed = time.Time{}, time.Time{}
}

func (g *Group) window() time.Duration { return max(windowRises*g.cfg.Rise, leastWindow) }

// backOff puts off a route's next dial.
func (g *Group) backOff(now time.Time, r *route) {
	if r.denied {
		d := min(max(slowRedials*g.cfg.Backoff.Max, slowLeast), slowMost)
		spread := Backoff{Base: d, Factor: 1, Max: d, Jitter: g.cfg.Backoff.Jitter}
		r.due = now.Add(max(spread.Delay(0, g.chance()), slowLeast))
		return
	}
	r.due = now.Add(g.cfg.Backoff.Delay(r.tries, g.chance()))
	r.tries++
}

// nextProbe is when a route is probed again: not quite regularly, so that the probes of many
// streams stay apart.
func (g *Group) nextProbe(now time.Time) time.Time {
	const spread = 0.1
	return now.Add(time.Duration(float64(g.cfg.Probe) * (1 - spread + 2*spread*clamp(g.chance()))))
}
