package policy

import "time"

// Constants of a group that are not configurable.
const (
	// sustainedMedia is how long media must flow for the backoff to restart.
	sustainedMedia = 10 * time.Second
	// maxMediaPause is the longest pause of media that does not restart that time.
	maxMediaPause = 5 * time.Second
	// scoreSwitchAfter is how long the active route's score must be worse before the stream leaves it.
	scoreSwitchAfter = 10 * time.Second
	// scoreSwitchInterval is the shortest time from any switch to a switch because of a score.
	scoreSwitchInterval = 30 * time.Second
	// maxFlaps is the maximum count of flaps. Each flap doubles the time that a route must be healthy
	// before the stream returns to it.
	maxFlaps = 4
	// The flap window is flapWindowRises times Rise, but at least minFlapWindow. Two failures within one
	// window count as a flap, and a window of health cancels one.
	minFlapWindow   = 5 * time.Minute
	flapWindowRises = 10
	// deniedBackoffs defines the interval of redials to a destination that denied the route: the longest
	// backoff times deniedBackoffs, within the bounds minDeniedRedial and maxDeniedRedial.
	deniedBackoffs  = 10
	minDeniedRedial = time.Minute
	maxDeniedRedial = 10 * time.Minute
)

// route is the state of one route of a group.
type route struct {
	name  string
	score float64

	// A dial or a probe is in progress, and was cancelled if it is unwanted.
	dialing, dialUnwanted  bool
	probing, probeUnwanted bool
	engaged                bool      // dialled until it is up, while no route is active
	nextDial               time.Time // earliest next dial
	nextProbe              time.Time // next probe; zero if none is planned
	tries                  int       // redials since media was sustained, for the backoff
	consecutiveFails       int       // consecutive dials and connections without sustained media
	denied, gaveUp         bool
	failure                string
	failedAt               time.Time
	failing                bool      // its latest result is a failure
	healthySince           time.Time // zero if not known to be healthy
	flaps                  int
	tookOver               bool      // it replaced a route that was still connected
	mediaSince, lastMedia  time.Time // since when media flows on this connection, and the last delivery
	mediaSustained         bool      // media has flowed on this connection for sustainedMedia
	state                  State     // state since the time since
	since                  time.Time
}

// fail records a failure of any kind. A route flaps if it was healthy and fails again within window of its
// last failure. weight is the number of flaps to count in that case.
func (r *route) fail(now time.Time, what string, window time.Duration, weight int) {
	if !r.healthySince.IsZero() {
		r.flaps = max(0, r.flaps-int(now.Sub(r.healthySince)/window))
		if !r.failedAt.IsZero() && now.Sub(r.failedAt) < window {
			r.flaps = min(r.flaps+weight, maxFlaps)
		}
	}
	r.failing, r.healthySince = true, time.Time{}
	r.failure, r.failedAt = what, now
}

// flapWeight returns the number of flaps to count when the stream leaves the route. It is 2 for a route
// that had replaced a connected route, because it then causes a second switch.
func (r *route) flapWeight() int {
	if r.tookOver {
		return 2
	}
	return 1
}

// riseComplete returns the time at which a healthy route will have been healthy long enough: for the
// duration rise, doubled for each flap. Each window of health cancels one flap.
func (r *route) riseComplete(rise, window time.Duration) time.Time {
	at := r.healthySince.Add(requiredHealth(rise, r.flaps))
	for k := 1; k <= r.flaps; k++ {
		held := max(requiredHealth(rise, r.flaps-k), time.Duration(k)*window)
		if t := r.healthySince.Add(held); t.Before(at) {
			at = t
		}
	}
	return at
}

// requiredHealth returns how long a route with that number of flaps must be healthy before the stream
// returns to it.
func requiredHealth(rise time.Duration, flaps int) time.Duration {
	if flaps == 0 {
		return rise
	}
	return max(rise, time.Second) << flaps
}

// mayConnect reports whether dials of the route may succeed soon: it was not denied and has not given up.
func (r *route) mayConnect() bool { return !r.denied && !r.gaveUp }

// clearFailures clears the failures of a route and its backoff.
func (r *route) clearFailures() {
	r.tries, r.consecutiveFails, r.flaps = 0, 0, 0
	r.denied, r.gaveUp = false, false
	r.nextDial, r.failedAt = time.Time{}, time.Time{}
}

func (g *Group) flapWindow() time.Duration { return max(flapWindowRises*g.cfg.Rise, minFlapWindow) }

// backOff schedules a route's next dial according to its backoff, or much later if it was denied.
func (g *Group) backOff(now time.Time, r *route) {
	if r.denied {
		d := min(max(deniedBackoffs*g.cfg.Backoff.Max, minDeniedRedial), maxDeniedRedial)
		spread := Backoff{Base: d, Factor: 1, Max: d, Jitter: g.cfg.Backoff.Jitter}
		r.nextDial = now.Add(max(spread.Delay(0, g.chance()), minDeniedRedial))
		return
	}
	r.nextDial = now.Add(g.cfg.Backoff.Delay(r.tries, g.chance()))
	r.tries++
}

// nextProbe returns the time of the next probe, with jitter that separates the probes of many streams.
func (g *Group) nextProbe(now time.Time) time.Time {
	const spread = 0.1
	return now.Add(time.Duration(float64(g.cfg.Probe) * (1 - spread + 2*spread*clamp(g.chance()))))
}
