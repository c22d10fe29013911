package policy

import "time"

// Constants of a group that are not configurable.
const (
	// sustainedMedia is how long media must flow for the backoff to restart.
	sustainedMedia = 10 * time.Second
	// maxMediaPause is the longest pause of media within that time.
	maxMediaPause = 5 * time.Second
	// scoreSwitchAfter is how long the active route's score must be worse before the stream leaves it.
	scoreSwitchAfter = 10 * time.Second
	// scoreSwitchInterval is the shortest time from a switch to one for a score.
	scoreSwitchInterval = 30 * time.Second
	// maxFlaps bounds the doublings of the health that a return needs.
	maxFlaps = 4
	// minFlapWindow and flapWindowRises define a window: failures within one are flapping, and a window
	// of health cancels a flap.
	minFlapWindow   = 5 * time.Minute
	flapWindowRises = 10
	// deniedBackoffs is the interval of redials to a destination that denied the route, in units of the
	// longest backoff and within the bounds minDeniedRedial and maxDeniedRedial.
	deniedBackoffs  = 10
	minDeniedRedial = time.Minute
	maxDeniedRedial = 10 * time.Minute
)

// route is the state of one route of a group.
type route struct {
	name  string
	score float64

	// A dial and a probe in progress; unwanted if cancelled since.
	dialing, dialUnwanted  bool
	probing, probeUnwanted bool
	engaged                bool      // dialled until it is up, while no route is active
	nextDial               time.Time // earliest next dial
	nextProbe              time.Time // next probe; zero if not planned
	tries                  int       // redials since media was sustained, for the backoff
	consecutiveFails       int       // consecutive dials and connections without sustained media
	denied, gaveUp         bool
	failure                string
	failedAt               time.Time
	failing                bool      // its latest result is a failure
	healthySince           time.Time // zero if not known to be healthy
	flaps                  int
	tookOver               bool      // it took the stream from a route that was connected
	mediaSince, lastMedia  time.Time // first and last media of this connection
	mediaSustained         bool      // this connection has had sustained media
	state                  State     // as of since
	since                  time.Time
}

// fail records a failure of any kind. A route that fails again soon after the last failure, having
// been healthy between them, flaps; weight is how much that counts.
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

// flapWeight returns how much it counts if the stream leaves the route. A route that had taken the stream
// over has caused a switch, and now causes another.
func (r *route) flapWeight() int {
	if r.tookOver {
		return 2
	}
	return 1
}

// riseComplete returns when a healthy route has been healthy long enough: for rise, doubled by each flap.
// Each window of health cancels a flap.
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

// requiredHealth returns the health that a return needs after some flaps.
func requiredHealth(rise time.Duration, flaps int) time.Duration {
	if flaps == 0 {
		return rise
	}
	return max(rise, time.Second) << flaps
}

// mayConnect reports whether a route's dials may succeed soon.
func (r *route) mayConnect() bool { return !r.denied && !r.gaveUp }

// clearFailures clears the results of a route's dials.
func (r *route) clearFailures() {
	r.tries, r.consecutiveFails, r.flaps = 0, 0, 0
	r.denied, r.gaveUp = false, false
	r.nextDial, r.failedAt = time.Time{}, time.Time{}
}

func (g *Group) flapWindow() time.Duration { return max(flapWindowRises*g.cfg.Rise, minFlapWindow) }

// backOff postpones a route's next dial.
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

// nextProbe returns when to probe a route again, with jitter that separates the probes of many
// streams.
func (g *Group) nextProbe(now time.Time) time.Time {
	const spread = 0.1
	return now.Add(time.Duration(float64(g.cfg.Probe) * (1 - spread + 2*spread*clamp(g.chance()))))
}
