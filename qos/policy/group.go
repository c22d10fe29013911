package policy

import (
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/qos"
)

// GroupConfig configures a group of routes, one of which carries the stream.
type GroupConfig struct {
	Routes  []string      // names, in order of preference
	Backoff Backoff       // the zero value means DefaultBackoff
	GiveUp  int           // consecutive failures without sustained media that end redialling; 0: never
	After   time.Duration // how long a route may be broken before another is dialled too
	Rise    time.Duration // how long a preferred route must be healthy before the stream returns to it
	Probe   time.Duration // interval of probes of a standby route; 0 means 5 s
	Margin  float64       // scores that differ by no more count as equal; 0 means 0.25
	// NoProbe disables probes. A preferred route is then dialled after Rise, without evidence of health.
	NoProbe bool
}

func (c GroupConfig) defaults() GroupConfig {
	if c.Backoff == (Backoff{}) {
		c.Backoff = DefaultBackoff()
	}
	if c.Margin == 0 {
		c.Margin = 0.25
	}
	if c.Probe <= 0 {
		c.Probe = 5 * time.Second
	}
	c.After, c.Rise = max(c.After, 0), max(c.Rise, 0)
	return c
}

// Group decides, for one stream, which routes of a group are dialled and which one carries the stream. At
// most one route is active, that is, carries the stream. While none is active, Group redials the best
// route, and after a while others in addition. When a route preferred to the active one has been healthy
// for a while, the stream returns to it. The preferred route is connected before the other is closed.
type Group struct {
	cfg    GroupConfig
	chance func() float64
	routes []route

	started    bool
	active     int       // the route that carries the stream; -1 for none
	last       int       // the route that carries the stream or last carried it; -1 for none yet
	forced     int       // the only route allowed; -1 for any
	downSince  time.Time // since when no route is active
	brokeCause string    // why the last active route broke
	engagedAt  time.Time // when a route was last engaged, see route.engaged

	trial         int // route dialled to take over from the active one; -1 for none
	trialCause    string
	worseSince    time.Time // since when the active route scores worse than another
	switchedAt    time.Time
	switches      int
	gaveUpDecided bool // AllGaveUp was decided

	decisions []Decision
	effects   []Effect // effects of the current call
}

// NewGroup returns a group that has not started. chance must return random numbers in [0, 1).
func NewGroup(cfg GroupConfig, chance func() float64) *Group {
	g := &Group{cfg: cfg.defaults(), chance: chance, active: -1, last: -1, forced: -1, trial: -1}
	for _, name := range cfg.Routes {
		g.routes = append(g.routes, route{name: name, score: 1})
	}
	return g
}

// Start starts the group at time now. It dials the first route, or a later one if that scores better by
// more than the margin.
func (g *Group) Start(now time.Time) []Effect {
	if g.started || len(g.routes) == 0 {
		return nil
	}
	g.started, g.downSince = true, now
	lead := g.forced
	if lead < 0 {
		lead = g.bestAllowed(func(*route) bool { return true })
	}
	for i := range g.routes {
		g.routes[i].nextProbe = now.Add(time.Duration(clamp(g.chance()) * float64(g.cfg.Probe)))
		if i != lead {
			g.standBy(now, i)
		}
	}
	g.engage(now, lead)
	return g.settle(now)
}

// Dialed handles the result o of the dial of route i.
func (g *Group) Dialed(now time.Time, i int, o qos.Outcome) []Effect {
	if !g.valid(i) || !g.routes[i].dialing {
		return nil
	}
	r := &g.routes[i]
	unwanted := r.dialUnwanted
	r.dialing, r.dialUnwanted = false, false
	switch {
	case unwanted && o == qos.DialOK:
		g.emit(Drop, i, -1, Reason{})
	case unwanted:
	case o == qos.DialOK:
		g.activate(now, i)
	default:
		g.dialFailed(now, i, o)
	}
	return g.settle(now)
}

// Broke handles the end of the connection of route i, the active route. It ignores other routes, whose
// connections were already closed.
func (g *Group) Broke(now time.Time, i int, cause string) []Effect {
	if !g.valid(i) || i != g.active {
		return nil
	}
	r := &g.routes[i]
	r.fail(now, cause, g.flapWindow(), r.flapWeight())
	g.backOff(now, r)
	if !r.mediaSustained {
		g.countFailure(now, i)
	}
	g.active, g.downSince, g.brokeCause = -1, now, cause
	g.engage(now, i)
	if g.trial >= 0 { // its dial continues, in addition to the broken route's
		g.routes[g.trial].engaged = true
		g.trial = -1
	}
	return g.settle(now)
}

// Probed handles the result of the probe of route i; ok reports whether it succeeded.
func (g *Group) Probed(now time.Time, i int, ok bool) []Effect {
	if !g.valid(i) || !g.routes[i].probing {
		return nil
	}
	r := &g.routes[i]
	unwanted := r.probeUnwanted
	r.probing, r.probeUnwanted = false, false
	r.nextProbe = g.nextProbe(now)
	switch {
	case unwanted || !g.needsProbes(i):
	case ok:
		r.failing, r.nextDial = false, time.Time{}
		if r.healthySince.IsZero() {
			r.healthySince = now
		}
	default:
		r.fail(now, "probe", g.flapWindow(), 1)
	}
	return g.settle(now)
}

// Delivered records that the destination of route i, the active route, has recently acknowledged media. It
// must be called every few seconds while that is so. Once media has been sustained for ten seconds, the
// backoff restarts from its base.
func (g *Group) Delivered(now time.Time, i int) []Effect {
	if !g.valid(i) || i != g.active {
		return nil
	}
	r := &g.routes[i]
	if r.mediaSince.IsZero() || now.Sub(r.lastMedia) > maxMediaPause {
		r.mediaSince = now
	}
	r.lastMedia = now
	if !r.mediaSustained && now.Sub(r.mediaSince) >= sustainedMedia {
		r.mediaSustained, r.tries, r.consecutiveFails = true, 0, 0
	}
	return g.settle(now)
}

// Scores sets the scores of the routes, in the order of the configuration. Initially all routes have the
// same score.
func (g *Group) Scores(now time.Time, scores []Score) []Effect {
	for i := range min(len(scores), len(g.routes)) {
		g.routes[i].score = clamp(scores[i].Value)
	}
	return g.settle(now)
}

// Force makes route i the only one allowed, whatever its score. If i is -1, all routes are allowed again.
func (g *Group) Force(now time.Time, i int) []Effect {
	if i == g.forced || i != -1 && !g.valid(i) {
		return nil
	}
	was := g.forced
	g.forced, g.trial = i, -1
	if i < 0 {
		g.decide(now, i, -1, Reason{RouteForced, g.name(was) + " is no longer forced"})
		if g.active >= 0 {
			g.cancel(was)
		} else {
			g.routes[was].engaged = true
		}
		return g.settle(now)
	}
	g.routes[i].clearFailures()
	g.gaveUpDecided = false
	g.decide(now, i, -1, Reason{RouteForced, g.name(i) + " is forced"})
	for j := range g.routes {
		if j != i {
			g.cancel(j)
		}
	}
	return g.settle(now)
}

// Reset clears the failures of route i on request of the operator, who knows that it works again. If no
// route is active, the route is dialled at once. If a less preferred route is active, the route is dialled
// to replace it. Otherwise it is probed.
func (g *Group) Reset(now time.Time, i int) []Effect {
	if !g.valid(i) {
		return nil
	}
	r := &g.routes[i]
	r.clearFailures()
	g.gaveUpDecided = false
	g.decide(now, i, -1, Reason{RouteReset, g.name(i) + " was reset"})
	switch {
	case i == g.active || !g.started:
	case g.active < 0:
		r.engaged = true
	case g.forced < 0 && g.trial < 0 && i < g.active && !r.dialing:
		g.startTrial(i, SwitchReturn)
	default:
		r.nextProbe = now
	}
	return g.settle(now)
}

// Tick carries out what is due at time now. It must be called at the time that Next returns.
func (g *Group) Tick(now time.Time) []Effect { return g.settle(now) }

func (g *Group) valid(i int) bool { return i >= 0 && i < len(g.routes) }

// activate makes route i, whose dial succeeded, the active route.
func (g *Group) activate(now time.Time, i int) {
	why := g.causeOf(now, i)
	from := g.active
	if why.Cause == SwitchScore {
		left := &g.routes[from]
		left.flaps = min(left.flaps+left.flapWeight(), maxFlaps)
		left.healthySince = time.Time{}
	}
	r := &g.routes[i]
	r.tookOver = from >= 0
	r.failing, r.denied, r.mediaSustained = false, false, false
	r.healthySince, r.mediaSince, r.lastMedia = now, time.Time{}, time.Time{}
	last := g.last
	g.active, g.last, g.trial, g.worseSince = i, i, -1, time.Time{}
	for j := range g.routes {
		g.routes[j].engaged = false
		if j != i {
			g.cancel(j)
			g.standBy(now, j)
		}
	}
	if from >= 0 {
		g.routes[from].nextProbe = g.nextProbe(now)
	}
	g.emit(Use, i, from, why)
	switch {
	case last < 0:
		g.decide(now, i, -1, why)
	case last != i:
		g.switches, g.switchedAt = g.switches+1, now
		g.decide(now, i, last, why)
	}
}

func (g *Group) causeOf(now time.Time, i int) Reason {
	name := g.name(i)
	switch {
	case g.last < 0:
		return Reason{RouteStarted, name + " came up"}
	case g.last == i:
		return Reason{RouteRedial, name + " is up again"}
	case g.forced == i:
		return Reason{SwitchForced, name + " is forced"}
	case g.active < 0:
		return Reason{SwitchBroken, fmt.Sprintf("%s broke %v ago (%s); %s came up first", g.name(g.last), roundForDisplay(now.Sub(g.downSince)), g.brokeCause, name)}
	case g.trialCause == SwitchScore:
		return Reason{SwitchScore, fmt.Sprintf("%s scored %.2f, %s %.2f", g.name(g.active), g.routes[g.active].score, name, g.routes[i].score)}
	case g.routes[i].healthySince.IsZero():
		return Reason{SwitchReturn, name + " is available again"}
	}
	return Reason{SwitchReturn, fmt.Sprintf("%s has been healthy for %v", name, roundForDisplay(now.Sub(g.routes[i].healthySince)))}
}

// roundForDisplay rounds a duration for display.
func roundForDisplay(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

func (g *Group) dialFailed(now time.Time, i int, o qos.Outcome) {
	r := &g.routes[i]
	if g.trial == i {
		g.trial, g.worseSince = -1, time.Time{}
	}
	r.fail(now, string(o), g.flapWindow(), 1)
	if o == qos.DialDenied && !r.denied {
		r.denied = true
		g.decide(now, i, -1, Reason{RouteDenied, g.name(i) + " was denied; redials are rare"})
	}
	g.backOff(now, r)
	g.countFailure(now, i)
	if !r.engaged {
		g.standBy(now, i)
	}
}

func (g *Group) countFailure(now time.Time, i int) {
	r := &g.routes[i]
	r.consecutiveFails++
	if g.cfg.GiveUp > 0 && r.consecutiveFails >= g.cfg.GiveUp && !r.gaveUp {
		r.gaveUp = true
		g.decide(now, i, -1, Reason{RouteGaveUp, fmt.Sprintf("%s failed %d times in a row", g.name(i), r.consecutiveFails)})
	}
}

// standBy schedules probes of a route that is neither active nor dialled. If probes are disabled, the
// route counts as healthy from time now.
func (g *Group) standBy(now time.Time, i int) {
	r := &g.routes[i]
	if g.cfg.NoProbe && r.healthySince.IsZero() {
		r.healthySince = now
	}
	if r.nextProbe.IsZero() || r.nextProbe.Before(now) {
		r.nextProbe = g.nextProbe(now)
	}
}

// engage marks a route to be dialled until any route is up.
func (g *Group) engage(now time.Time, i int) {
	g.routes[i].engaged = true
	g.engagedAt = now
}

// cancel cancels a route's dial in progress, and with it a probe in progress.
func (g *Group) cancel(i int) {
	r := &g.routes[i]
	if !r.dialing || r.dialUnwanted {
		return
	}
	r.dialUnwanted, r.probeUnwanted = true, r.probing
	g.emit(Cancel, i, -1, Reason{})
}
