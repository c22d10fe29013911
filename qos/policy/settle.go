package policy

import (
	"fmt"
	"time"
)

// finish does what an input and the time made due, and hands the effects out.
func (g *Group) finish(now time.Time) []Effect {
	if g.started {
		if g.active < 0 {
			g.help(now)
		} else {
			g.improve(now)
		}
		g.dialDue(now)
		g.probeDue(now)
		g.checkOver(now)
	}
	for i := range g.routes {
		if r := &g.routes[i]; r.state != g.stateOf(i) || r.since.IsZero() && g.started {
			r.state, r.since = g.stateOf(i), now
		}
	}
	out := g.out
	g.out = nil
	return out
}

// help engages the next route when those that are dialled have not come up in time.
func (g *Group) help(now time.Time) {
	for {
		at := g.helpAt()
		if at.IsZero() || now.Before(at) {
			return
		}
		next := g.candidate()
		text := fmt.Sprintf("nothing has been up for %v; %s is dialled too", about(now.Sub(g.down)), g.name(next))
		if !now.After(g.joined) {
			text = fmt.Sprintf("what is dialled cannot come up soon; %s is dialled too", g.name(next))
		}
		g.engage(now, next)
		g.decide(now, next, -1, Reason{RouteHelped, text})
	}
}

// helpAt is when the next route is to be engaged; zero if there is none, or no need.
func (g *Group) helpAt() time.Time {
	if g.active >= 0 || g.forced >= 0 || g.candidate() < 0 {
		return time.Time{}
	}
	for i := range g.routes {
		if r := &g.routes[i]; r.engaged && r.hopeful() {
			return g.joined.Add(g.cfg.After)
		}
	}
	return g.joined
}

// candidate is the route to engage next: the best by score, one that is known to be down last;
// -1 if there is none.
func (g *Group) candidate() int {
	free := func(r *route) bool { return !r.engaged && r.hopeful() }
	if i := g.pick(func(r *route) bool { return free(r) && !r.bad }); i >= 0 {
		return i
	}
	return g.pick(free)
}

// pick is, of the routes that may be taken, the first that does not score worse by the margin
// than the best; -1 if there is none.
func (g *Group) pick(may func(*route) bool) int {
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

// improve dials a route that should carry instead of the one that does.
func (g *Group) improve(now time.Time) {
	i, _ := g.better()
	switch {
	case i < 0:
		g.worse = time.Time{}
	case g.worse.IsZero():
		g.worse = now
	}
	if i, cause, at := g.nextTrial(); i >= 0 && !now.Before(at) {
		g.try(i, cause)
	}
}

// try dials a route while another carries.
func (g *Group) try(i int, cause string) {
	g.trial, g.trialCause = i, cause
	g.dial(i)
}

// nextTrial is the next dial of a route beside the one that carries, and when; -1 if there is
// none to come.
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
	if i, t := g.better(); i >= 0 && !g.worse.IsZero() {
		for _, also := range []time.Time{g.worse.Add(worseFor), g.switched.Add(max(g.cfg.Rise, calmAfter))} {
			t = later(t, also)
		}
		if route < 0 || t.Before(at) {
			route, cause, at = i, SwitchScore, t
		}
	}
	return route, cause, at
}

// returnAt is when a route that is preferred to the active one is to get the stream back;
// zero while that is not in sight. One that was denied is tried when it is due.
func (g *Group) returnAt(i int) time.Time {
	r := &g.routes[i]
	switch {
	case r.gaveUp || r.dialing:
		return time.Time{}
	case r.denied:
		return r.due
	case r.healthySince.IsZero() || r.score < g.routes[g.active].score-g.cfg.Margin:
		return time.Time{}
	}
	return later(r.risen(g.cfg.Rise, g.window()), r.due)
}

// better is a healthy route that scores better by more than the margin than the active one,
// and since when it may be taken; -1 if there is none. One that flapped must have risen first.
func (g *Group) better() (int, time.Time) {
	i := g.pick(func(r *route) bool {
		return r.hopeful() && !r.dialing && !r.healthySince.IsZero() && r.score > g.routes[g.active].score+g.cfg.Margin
	})
	if i < 0 {
		return -1, time.Time{}
	}
	r := &g.routes[i]
	if r.flaps == 0 {
		return i, later(r.healthySince, r.due)
	}
	return i, later(r.risen(g.cfg.Rise, g.window()), r.due)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// wanted tells whether a route is to be dialled until it is up.
func (g *Group) wanted(i int) bool {
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
		if r := &g.routes[i]; g.wanted(i) && !r.dialing && !now.Before(r.due) {
			g.dial(i)
		}
	}
}

func (g *Group) dial(i int) {
	g.routes[i].dialing = true
	g.emit(Dial, i, -1, Reason{})
}

// probed tells whether probes are what tells of a route.
func (g *Group) probed(i int) bool {
	r := &g.routes[i]
	return !g.cfg.NoProbe && len(g.routes) > 1 && i != g.active && i != g.trial && r.hopeful() && !r.dialing && !g.wanted(i)
}

func (g *Group) probeDue(now time.Time) {
	for i := range g.routes {
		if r := &g.routes[i]; g.probed(i) && !r.probing && !now.Before(r.probe) {
			r.probing = true
			g.emit(Probe, i, -1, Reason{})
		}
	}
}

// checkOver says once that nothing is dialled any more.
func (g *Group) checkOver(now time.Time) {
	if g.over || g.active >= 0 {
		return
	}
	for i := range g.routes {
		if !g.routes[i].gaveUp && (g.forced < 0 || g.forced == i) {
			return
		}
	}
	g.over = true
	g.decide(now, -1, -1, Reason{AllGaveUp, "no route is dialled any more"})
}

// Next is when Tick is due; zero: not before something else happens.
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
		if g.wanted(i) && !r.dialing {
			soon(r.due)
		}
		if g.probed(i) && !r.probing {
			soon(r.probe)
		}
	}
	return next
}
