package main

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// failover is the reference configuration.
func failover() policy.GroupConfig {
	return policy.GroupConfig{
		Routes: []string{"a", "b"}, Backoff: policy.DefaultBackoff(),
		After: 2 * time.Second, Rise: 30 * time.Second, Probe: 5 * time.Second,
	}
}

// fixed is what most relays do: the first route alone, every three seconds.
func fixed() policy.GroupConfig {
	const delay = 3 * time.Second
	return policy.GroupConfig{Routes: []string{"a"}, Backoff: policy.Backoff{Base: delay, Factor: 1, Max: delay}}
}

// outcome is what a run came to.
type outcome struct {
	lost     float64       // bytes
	longest  time.Duration // without anything arriving
	mean     time.Duration // of such gaps of a second or more
	gaps     int
	switches int
	dials    int
	points   []point // one a second
	marks    []mark
}

// point is a second of a run.
type point struct {
	at     time.Duration
	active int
	states []policy.State
	scores []float64
	rate   float64 // bit/s that arrived
}

// mark is a decision.
type mark struct {
	at     time.Duration
	reason policy.Reason
}

// run is a group and two lines in a trace's weather.
type run struct {
	trace     trace
	group     *policy.Group
	chance    *rand.Rand
	now       time.Time
	lines     []line
	histories []qos.History
	asked     []asked
	used      int
	arrived   float64
	second    float64
	gap       time.Duration
	total     time.Duration // of gaps
	out       outcome
}

// asked is a dial or a probe under way.
type asked struct {
	at      time.Time
	begun   time.Time
	route   int
	probe   bool
	outcome qos.Outcome
}

func simulate(t trace, cfg policy.GroupConfig, seed uint64) outcome {
	chance := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // chances are to repeat
	r := &run{
		trace: t, chance: chance, group: policy.NewGroup(cfg, chance.Float64), now: epoch, used: -1,
		lines: make([]line, len(cfg.Routes)), histories: make([]qos.History, len(cfg.Routes)),
	}
	r.do(r.group.Start(r.now))
	for r.since() < t.lasts {
		r.now = r.now.Add(step)
		r.advance()
		if r.since()%time.Second == 0 {
			r.observe()
		}
	}
	r.closeGap()
	r.out.lost = max(0, bitrate/8*t.lasts.Seconds()-r.arrived)
	if r.out.gaps > 0 {
		r.out.mean = r.total / time.Duration(r.out.gaps)
	}
	return r.out
}

func (r *run) since() time.Duration { return r.now.Sub(epoch) }

func (r *run) conditions(route int) conditions { return r.trace.at(route, r.since()) }

// do carries effects out.
func (r *run) do(effects []policy.Effect) {
	for _, e := range effects {
		switch e.Kind {
		case policy.Dial, policy.Probe:
			probe := e.Kind == policy.Probe
			o, takes := r.conditions(e.Route).dial(probe)
			r.asked = append(r.asked, asked{at: r.now.Add(takes), begun: r.now, route: e.Route, probe: probe, outcome: o})
			if !probe {
				r.out.dials++
			}
		case policy.Use:
			if e.From >= 0 {
				r.lines[e.From].up = false
			}
			r.used = e.Route
		case policy.Drop:
			r.lines[e.Route].up = false
		case policy.Cancel:
			for i := range r.asked {
				if a := &r.asked[i]; a.route == e.Route {
					a.at = r.now
					if a.outcome == qos.DialOK {
						a.outcome = qos.DialFailed
					}
				}
			}
		case policy.Decided:
			r.out.marks = append(r.out.marks, mark{r.since(), e.Reason})
			if e.Switched() {
				r.out.switches++
			}
		}
	}
}

// advance lets a step pass.
func (r *run) advance() {
	for {
		i := slices.IndexFunc(r.asked, func(a asked) bool { return !a.at.After(r.now) })
		if i < 0 {
			break
		}
		a := r.asked[i]
		r.asked = slices.Delete(r.asked, i, i+1)
		r.answer(a)
	}
	if i := r.used; i >= 0 {
		r.carry(i)
	} else {
		r.gap += step
	}
	if next := r.group.Next(); !next.IsZero() && !next.After(r.now) {
		r.do(r.group.Tick(r.now))
	}
}

func (r *run) answer(a asked) {
	took := map[qos.Phase]time.Duration{qos.PhaseTCP: r.now.Sub(a.begun)}
	if a.outcome == qos.DialOK {
		rtt := r.conditions(a.route).rtt
		took = map[qos.Phase]time.Duration{qos.PhaseTCP: rtt, qos.PhaseHandshake: 2 * rtt, qos.PhaseConnect: rtt}
	}
	r.histories[a.route].Attempt(qos.Attempt{At: r.now, Probe: a.probe, Outcome: a.outcome, Took: took})
	if a.probe {
		r.do(r.group.Probed(r.now, a.route, a.outcome == qos.DialOK))
		return
	}
	if a.outcome == qos.DialOK {
		r.lines[a.route].open(r.now)
	}
	r.do(r.group.Dialed(r.now, a.route, a.outcome))
}

// carry sends the stream over the route that carries it.
func (r *run) carry(i int) {
	c, l := r.conditions(i), &r.lines[i]
	arrived := 0.0
	if !c.down {
		arrived = l.carry(c, true)
	}
	r.arrived += arrived
	r.second += arrived
	if arrived == 0 {
		r.gap += step
	} else {
		r.closeGap()
	}
	var cause string
	switch {
	case c.down:
		cause = "reset"
	case l.still >= silent:
		cause = "silence"
	default:
		return
	}
	l.up, r.used = false, -1
	r.histories[i].Broke(r.now, cause, r.now.Sub(l.since))
	r.do(r.group.Broke(r.now, i, cause))
}

func (r *run) closeGap() {
	r.out.longest = max(r.out.longest, r.gap)
	if r.gap >= time.Second {
		r.out.gaps++
		r.total += r.gap
	}
	r.gap = 0
}

// observe ends a second: samples, scores, and what the plot shows.
func (r *run) observe() {
	if i := r.used; i >= 0 {
		s := r.lines[i].measure(r.now, r.conditions(i), r.chance)
		r.histories[i].Sample(s)
		if s.Delivered > 0 {
			r.do(r.group.Delivered(r.now, i))
		}
	}
	p := point{at: r.since(), active: r.used, rate: r.second * 8}
	r.second = 0
	scores := make([]policy.Score, len(r.histories))
	for i := range r.histories {
		scores[i] = policy.ScoreRoute(r.histories[i].Summary(r.now))
		p.scores = append(p.scores, scores[i].Value)
	}
	r.do(r.group.Scores(r.now, scores))
	for _, route := range r.group.Status(r.now).Routes {
		p.states = append(p.states, route.State)
	}
	r.out.points = append(r.out.points, p)
}
