package policy

import (
	"fmt"
	"time"
)

// settle does what is due after an input, and returns the effects.
func (g *Group) settle(now time.Time) []Effect {
	if g.started {
		if g.active < 0 {
			g.engageHelp(now)
		} else {
			g.improve(now)
		}
		g.dialDue(now)
		g.probeDue(now)
		g.decideGaveUp(now)
	}
	for i := range g.routes {
		if r := &g.routes[i]; r.state != g.stateOf(i) || r.since.IsZero() && g.started {
			r.state, r.since = g.stateOf(i), now
		}
	}
	out := g.effects
	g.effects = nil
	return out
}

// engageHelp engages the next route if the dialled ones have not come up in time.
func (g *Group) engageHelp(now time.Time) {
	for {
		at := g.helpAt()
		if at.IsZero() || now.Before(at) {
			return
		}
		next := g.candidate()
		text := fmt.Sprintf("no route up for %v; dialling %s too", roundForDisplay(now.Sub(g.downSince)), g.name(next))
		if !now.After(g.engagedAt) {
			text = fmt.Sprintf("the routes being dialled cannot come up soon; dialling %s too", g.name(next))
		}
		g.engage(now, next)
		g.decide(now, next, -1, Reason{RouteHelped, text})
	}
}

// helpAt returns when the next route is to be engaged; zero if there is none, or no need.
func (g *Group) helpAt() time.Time {
	if g.active >= 0 || g.forced >= 0 || g.candidate() < 0 {
		return time.Time{}
	}
	for i := range g.routes {
		if r := &g.routes[i]; r.engaged && r.mayConnect() {
			return g.engagedAt.Add(g.cfg.After)
		}
	}
	return g.engagedAt
}

// candidate returns the route to engage next: the best by score, preferring routes that are not known
// to be down; -1 if there is none.
func (g *Group) candidate() int {
	free := func(r *route) bool { return !r.engaged && r.mayConnect() }
	if i := g.bestAllowed(func(r *route) bool { return free(r) && !r.failing }); i >= 0 {
		return i
	}
	return g.bestAllowed(free)
}

// bestAllowed returns the first of the allowed routes that does not score worse than the best of them by more
// than the margin; -1 if there is none.
func (g *Group) bestAllowed(may func(*route) bool) int {
	best := -1.0
	for i := range g.routes {
		if r := &g.routes[i]; may(r) {
			best = max(best, r.score)
		}
	}
	for i := range g.routes {
		if r := &g.routes[i]; may(r) && r.score >= best-g.cfg.Margin {
			return i
		}
	}
	return -1
}

// improve dials a route that should replace the active one.
func (g *Group) improve(now time.Time) {
	i, _ := g.betterRoute()
	switch {
	case i < 0:
		g.worseSince = time.Time{}
	case g.worseSince.IsZero():
		g.worseSince = now
	}
	if i, cause, at := g.nextTrial(); i >= 0 && !now.Before(at) {
		g.startTrial(i, cause)
	}
}

// startTrial dials a route while another is active.
func (g *Group) startTrial(i int, cause string) {
	g.trial, g.trialCause = i, cause
	g.dial(i)
}

// nextTrial returns the next route to dial while another is active, and when; -1 if there is none.
func (g *Group) nextTrial() (route int, cause string, at time.Time) {
	route = -1
	if g.active < 0 || g.forced >= 0 || g.trial >= 0 {
		return route, "", at
	}
	for i := range g.active {
		if t := g.returnAt(i); !t.IsZero() && (route < 0 || t.Before(at)) {
			route, cause, at = i, SwitchReturn, t
		}
	}
	if i, t := g.betterRoute(); i >= 0 && !g.worseSince.IsZero() {
		for _, also := range []time.Time{g.worseSince.Add(scoreSwitchAfter), g.switchedAt.Add(max(g.cfg.Rise, scoreSwitchInterval))} {
			t = later(t, also)
		}
		if route < 0 || t.Before(at) {
			route, cause, at = i, SwitchScore, t
		}
	}
	return route, cause, at
}

// returnAt returns when a route that is preferred to the active one is to be dialled to get the
// stream back; zero if that cannot be said. A denied route is tried when its redial is due.
func (g *Group) returnAt(i int) time.Time {
	r := &g.routes[i]
	switch {
	case r.gaveUp || r.dialing:
		return time.Time{}
	case r.denied:
		return r.nextDial
	case r.healthySince.IsZero() || r.score < g.routes[g.active].score-g.cfg.Margin:
		return time.Time{}
	}
	return later(r.riseComplete(g.cfg.Rise, g.flapWindow()), r.nextDial)
}

// betterRoute returns a healthy route that scores better than the active one by more than the margin, and
// since when it may be used; -1 if there is none. A route that flapped must have risen first.
func (g *Group) betterRoute() (int, time.Time) {
	i := g.bestAllowed(func(r *route) bool {
		return r.mayConnect() && !r.dialing && !r.healthySince.IsZero() && r.score > g.routes[g.active].score+g.cfg.Margin
	})
	if i < 0 {
		return -1, time.Time{}
	}
	r := &g.routes[i]
	if r.flaps == 0 {
		return i, later(r.healthySince, r.nextDial)
	}
	return i, later(r.riseComplete(g.cfg.Rise, g.flapWindow()), r.nextDial)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// needsDial reports whether a route is to be dialled until it is up.
func (g *Group) needsDial(i int) bool {
	r := &g.routes[i]
	switch {
	case r.gaveUp || i == g.active:
		return false
	case g.forced >= 0:
		return i == g.forced
	}
	return g.active < 0 && (r.engaged || r.denied)
}

func (g *Group) dialDue(now time.Time) {
	for i := range g.routes {
		if r := &g.routes[i]; g.needsDial(i) && !r.dialing && !now.Before(r.nextDial) {
			g.dial(i)
		}
	}
}

func (g *Group) dial(i int) {
	g.routes[i].dialing = true
	g.emit(Dial, i, -1, Reason{})
}

// needsProbes reports whether a route is to be probed.
func (g *Group) needsProbes(i int) bool {
	r := &g.routes[i]
	return !g.cfg.NoProbe && len(g.routes) > 1 && i != g.active && i != g.trial && r.mayConnect() && !r.dialing && !g.needsDial(i)
}

func (g *Group) probeDue(now time.Time) {
	for i := range g.routes {
		if r := &g.routes[i]; g.needsProbes(i) && !r.probing && !now.Before(r.nextProbe) {
			r.probing = true
			g.emit(Probe, i, -1, Reason{})
		}
	}
}

// decideGaveUp decides AllGaveUp once when no route is dialled any more.
func (g *Group) decideGaveUp(now time.Time) {
	if g.gaveUpDecided || g.active >= 0 {
		return
	}
	for i := range g.routes {
		if !g.routes[i].gaveUp && (g.forced < 0 || g.forced == i) {
			return
		}
	}
	g.gaveUpDecided = true
	g.decide(now, -1, -1, Reason{AllGaveUp, "all routes gave up"})
}

// Next returns when Tick is due; zero if not before another input.
func (g *Group) Next() time.Time {
	var next time.Time
	soon := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if !g.started {
		return next
	}
	soon(g.helpAt())
	_, _, trial := g.nextTrial()
	soon(trial)
	for i := range g.routes {
		r := &g.routes[i]
		if g.needsDial(i) && !r.dialing {
			soon(r.nextDial)
		}
		if g.needsProbes(i) && !r.probing {
			soon(r.nextProbe)
		}
	}
	return next
}
