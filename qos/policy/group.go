package policy

import (
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/qos"
)

// GroupConfig is what an operator may set for a group of routes, of which one carries.
type GroupConfig struct {
	Routes  []string      // names, in order of preference
	Backoff Backoff       // the zero value: DefaultBackoff
	GiveUp  int           // failures in a row, without sustained media between, that end redialling; 0: never
	After   time.Duration // a route broken for as long is helped by the next one
	Rise    time.Duration // a better one gets the stream back after as long in health
	Probe   time.Duration // between two probes of a route that stands by; 0: 5 s
	Margin  float64       // by which a score must be worse to count; 0: 0.25
	// NoProbe has no route probed. A better one is then tried after Rise, by a dial.
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

// Group is the life of one stream's routes in one group: which is dialled, which carries. At
// most one carries; while none does, the best is dialled over and over, and helped by others
// once it has been broken for a while; a better one gets the stream back once it has been
// healthy for a while, before the other is let go.
type Group struct {
	cfg    GroupConfig
	chance func() float64
	routes []route

	started bool
	active  int       // carries; -1: none
	last    int       // carries or carried last; -1: none yet
	forced  int       // the only one that may; -1: any
	down    time.Time // since when none does
	broke   string    // what ended the one that did
	joined  time.Time // when the last was engaged, while none carries

	trial      int // dialled to take the stream over from the active one; -1: none
	trialCause string
	worse      time.Time // since when the active one scores worse than another
	switched   time.Time
	switches   int
	over       bool // it was said that all gave up

	decisions []Decision
	out       []Effect // of the input at work
}

// NewGroup returns a group that has not started. chance is asked for numbers in [0, 1).
func NewGroup(cfg GroupConfig, chance func() float64) *Group {
	g := &Group{cfg: cfg.defaults(), chance: chance, active: -1, last: -1, forced: -1, trial: -1}
	for _, name := range cfg.Routes {
		g.routes = append(g.routes, route{name: name, score: 1})
	}
	return g
}

// Start dials the first route, or a later one if the scores say that it is much better.
func (g *Group) Start(now time.Time) []Effect {
	if g.started || len(g.routes) == 0 {
		return nil
	}
	g.started, g.down = true, now
	lead := g.forced
	if lead < 0 {
		lead = g.pick(func(*route) bool { return true })
	}
	for i := range g.routes {
		g.routes[i].probe = now.Add(time.Duration(clamp(g.chance()) * float64(g.cfg.Probe)))
		if i != lead {
			g.standBy(now, i)
		}
	}
	g.engage(now, lead)
	return g.finish(now)
}

// Dialed answers the Dial of a route.
func (g *Group) Dialed(now time.Time, i int, o qos.Outcome) []Effect {
	if !g.has(i) || !g.routes[i].dialing {
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
		g.use(now, i)
	default:
		g.dialFailed(now, i, o)
	}
	return g.finish(now)
}

// Broke tells that the connection of the route that carries is gone. Of another it says
// nothing: that one has been let go.
func (g *Group) Broke(now time.Time, i int, cause string) []Effect {
	if !g.has(i) || i != g.active {
		return nil
	}
	r := &g.routes[i]
	r.fail(now, cause, g.window(), r.weight())
	g.backOff(now, r)
	if !r.proved {
		g.countFailure(now, i)
	}
	g.active, g.down, g.broke = -1, now, cause
	g.engage(now, i)
	if g.trial >= 0 { // its dial goes on, now as help
		g.routes[g.trial].engaged = true
		g.trial = -1
	}
	return g.finish(now)
}

// Probed answers the Probe of a route.
func (g *Group) Probed(now time.Time, i int, ok bool) []Effect {
	if !g.has(i) || !g.routes[i].probing {
		return nil
	}
	r := &g.routes[i]
	unwanted := r.probeUnwanted
	r.probing, r.probeUnwanted = false, false
	r.probe = g.nextProbe(now)
	switch {
	case unwanted || !g.probed(i):
	case ok:
		r.bad, r.due = false, time.Time{}
		if r.healthySince.IsZero() {
			r.healthySince = now
		}
	default:
		r.fail(now, "probe", g.window(), 1)
	}
	return g.finish(now)
}

// Delivered tells that the far side of the route that carries has acknowledged media lately.
// Told at least every few seconds for long enough, it starts the backoff anew.
func (g *Group) Delivered(now time.Time, i int) []Effect {
	if !g.has(i) || i != g.active {
		return nil
	}
	r := &g.routes[i]
	if r.media.IsZero() || now.Sub(r.lastMedia) > quiet {
		r.media = now
	}
	r.lastMedia = now
	if !r.proved && now.Sub(r.media) >= sustained {
		r.proved, r.tries, r.fails = true, 0, 0
	}
	return g.finish(now)
}

// Scores tells what the routes score, in their order. Until it is told, all score alike.
func (g *Group) Scores(now time.Time, scores []Score) []Effect {
	for i := range min(len(scores), len(g.routes)) {
		g.routes[i].score = clamp(scores[i].Value)
	}
	return g.finish(now)
}

// Force has route i, and no other, carry the stream, whatever it scores; -1: the best again.
func (g *Group) Force(now time.Time, i int) []Effect {
	if i == g.forced || i != -1 && !g.has(i) {
		return nil
	}
	was := g.forced
	g.forced, g.trial = i, -1
	if i < 0 {
		g.decide(now, i, -1, Reason{RouteForced, g.name(was) + " is not forced any more"})
		if g.active >= 0 {
			g.cancel(was)
		} else {
			g.routes[was].engaged = true
		}
		return g.finish(now)
	}
	g.routes[i].forgive()
	g.over = false
	g.decide(now, i, -1, Reason{RouteForced, g.name(i) + " is forced"})
	for j := range g.routes {
		if j != i {
			g.cancel(j)
		}
	}
	return g.finish(now)
}

// Reset forgets a route's failures: the operator knows that it is well. If none carries it is
// dialled at once; if a worse one does, it is dialled to take over; else it is probed.
func (g *Group) Reset(now time.Time, i int) []Effect {
	if !g.has(i) {
		return nil
	}
	r := &g.routes[i]
	r.forgive()
	g.over = false
	g.decide(now, i, -1, Reason{RouteReset, g.name(i) + " starts afresh"})
	switch {
	case i == g.active || !g.started:
	case g.active < 0:
		r.engaged = true
	case g.forced < 0 && g.trial < 0 && i < g.active && !r.dialing:
		g.try(i, SwitchReturn)
	default:
		r.probe = now
	}
	return g.finish(now)
}

// Tick does what is due.
func (g *Group) Tick(now time.Time) []Effect { return g.finish(now) }

func (g *Group) has(i int) bool { return i >= 0 && i < len(g.routes) }

// use makes a route that came up the one that carries.
func (g *Group) use(now time.Time, i int) {
	why := g.causeOf(now, i)
	from := g.active
	if why.Cause == SwitchScore {
		left := &g.routes[from]
		left.flaps = min(left.flaps+left.weight(), maxFlaps)
		left.healthySince = time.Time{}
	}
	r := &g.routes[i]
	r.won = from >= 0
	r.bad, r.denied, r.proved = false, false, false
	r.healthySince, r.media, r.lastMedia = now, time.Time{}, time.Time{}
	last := g.last
	g.active, g.last, g.trial, g.worse = i, i, -1, time.Time{}
	for j := range g.routes {
		g.routes[j].engaged = false
		if j != i {
			g.cancel(j)
			g.standBy(now, j)
		}
	}
	if from >= 0 {
		g.routes[from].probe = g.nextProbe(now)
	}
	g.emit(Use, i, from, why)
	switch {
	case last < 0:
		g.decide(now, i, -1, why)
	case last != i:
		g.switches, g.switched = g.switches+1, now
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
		return Reason{SwitchBroken, fmt.Sprintf("%s broke %v ago (%s); %s came up first", g.name(g.last), about(now.Sub(g.down)), g.broke, name)}
	case g.trialCause == SwitchScore:
		return Reason{SwitchScore, fmt.Sprintf("%s scored %.2f, %s %.2f", g.name(g.active), g.routes[g.active].score, name, g.routes[i].score)}
	case g.routes[i].healthySince.IsZero():
		return Reason{SwitchReturn, name + " is to be had again"}
	}
	return Reason{SwitchReturn, fmt.Sprintf("%s has been healthy for %v", name, about(now.Sub(g.routes[i].healthySince)))}
}

// about is a duration as people read it.
func about(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

func (g *Group) dialFailed(now time.Time, i int, o qos.Outcome) {
	r := &g.routes[i]
	if g.trial == i {
		g.trial, g.worse = -1, time.Time{}
	}
	r.fail(now, string(o), g.window(), 1)
	if o == qos.DialDenied && !r.denied {
		r.denied = true
		g.decide(now, i, -1, Reason{RouteDenied, g.name(i) + " will not have us; it is tried seldom"})
	}
	g.backOff(now, r)
	g.countFailure(now, i)
	if !r.engaged {
		g.standBy(now, i)
	}
}

func (g *Group) countFailure(now time.Time, i int) {
	r := &g.routes[i]
	r.fails++
	if g.cfg.GiveUp > 0 && r.fails >= g.cfg.GiveUp && !r.gaveUp {
		r.gaveUp = true
		g.decide(now, i, -1, Reason{RouteGaveUp, fmt.Sprintf("%s failed %d times in a row", g.name(i), r.fails)})
	}
}

// standBy has a route that neither carries nor is dialled looked after by probes. Where there
// are none, its health counts from now.
func (g *Group) standBy(now time.Time, i int) {
	r := &g.routes[i]
	if g.cfg.NoProbe && r.healthySince.IsZero() {
		r.healthySince = now
	}
	if r.probe.IsZero() || r.probe.Before(now) {
		r.probe = g.nextProbe(now)
	}
}

// engage has a route dialled until one is up.
func (g *Group) engage(now time.Time, i int) {
	g.routes[i].engaged = true
	g.joined = now
}

// cancel ends a dial under way, and with it a probe.
func (g *Group) cancel(i int) {
	r := &g.routes[i]
	if !r.dialing || r.dialUnwanted {
		return
	}
	r.dialUnwanted, r.probeUnwanted = true, r.probing
	g.emit(Cancel, i, -1, Reason{})
}
