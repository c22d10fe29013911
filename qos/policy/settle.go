package policy

import (
	"fmt"
	"time"
)

// settle carries out everything that is due at time now, and returns the effects collected since the last
// call.
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

// engageHelp engages further routes if the dialled ones have not come up in time.
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

// helpAt returns the time at which to engage the next route. It returns the zero Time if there is no
// further route or none is needed.
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

// candidate returns the route to engage next, or -1 if there is none. It is the best by score among routes
// whose latest result is not a failure, or else among all that may connect.
func (g *Group) candidate() int {
	free := func(r *route) bool { return !r.engaged && r.mayConnect() }
	if i := g.bestAllowed(func(r *route) bool { return free(r) && !r.failing }); i >= 0 {
		return i
	}
	return g.bestAllowed(free)
}

// bestAllowed returns, among the routes for which may returns true, the most preferred one whose score is
// within the margin of the best score. It returns -1 if may returns true for none.
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

// improve dials a route to replace the active one, if one is due.
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

// startTrial dials a route that is to replace the active one. cause is the cause of the switch.
func (g *Group) startTrial(i int, cause string) {
	g.trial, g.trialCause = i, cause
	g.dial(i)
}

// nextTrial returns the next route to dial as a replacement of the active one, the cause, and the time at
// which to dial it. It returns -1 if there is none.
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

// returnAt returns the time at which to dial route i, which is preferred to the active one, so that the
// stream returns to it. It returns the zero Time if the route is not ready for that, for example because
// it is not healthy. A denied route is dialled when its redial is due.
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
// the time from which on it may be used. It returns -1 if there is none. A route that flapped may be used
// only once it has been healthy long enough.
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

// needsDial reports whether a route must be dialled until it is up.
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

// needsProbes reports whether a route must be probed regularly.
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

// decideGaveUp reports the decision AllGaveUp, once, when all allowed routes have given up.
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

// Next returns the time at which Tick must be called. It returns the zero Time if Tick need not be called
// before the next call of another method.
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
