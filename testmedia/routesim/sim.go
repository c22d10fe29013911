package main

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// failoverConfig returns the reference configuration.
func failoverConfig() policy.GroupConfig {
	return policy.GroupConfig{
		Routes: []string{"a", "b"}, Backoff: policy.DefaultBackoff(),
		After: 2 * time.Second, Rise: 30 * time.Second, Probe: 5 * time.Second,
	}
}

// fixedDelayConfig returns what most relays do: only the first route, redialed every three seconds.
func fixedDelayConfig() policy.GroupConfig {
	const delay = 3 * time.Second
	return policy.GroupConfig{Routes: []string{"a"}, Backoff: policy.Backoff{Base: delay, Factor: 1, Max: delay}}
}

// outcome is the result of a run.
type outcome struct {
	lost      float64       // in bytes
	longest   time.Duration // longest time without a delivery
	mean      time.Duration // mean of such gaps of a second or more
	gaps      int
	switches  int
	dials     int
	points    []point // one for each second
	decisions []decision
}

// point is one second of a run.
type point struct {
	at     time.Duration
	active int
	states []policy.State
	scores []float64
	rate   float64 // delivered, in bit/s
}

// decision is a decision of the policy.
type decision struct {
	at     time.Duration
	reason policy.Reason
}

// run runs a group with two lines over a trace.
type run struct {
	trace       trace
	group       *policy.Group
	chance      *rand.Rand
	now         time.Time
	lines       []line
	histories   []qos.History
	attempts    []attempt
	active      int
	arrived     float64
	secondBytes float64
	gap         time.Duration
	gapTotal    time.Duration // sum of gaps
	result      outcome
}

// attempt is a dial or a probe in progress.
type attempt struct {
	at      time.Time
	started time.Time
	route   int
	probe   bool
	outcome qos.Outcome
}

func simulate(t trace, cfg policy.GroupConfig, seed uint64) outcome {
	chance := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // reproducible on purpose
	r := &run{
		trace: t, chance: chance, group: policy.NewGroup(cfg, chance.Float64), now: epoch, active: -1,
		lines: make([]line, len(cfg.Routes)), histories: make([]qos.History, len(cfg.Routes)),
	}
	r.perform(r.group.Start(r.now))
	for r.since() < t.length {
		r.now = r.now.Add(step)
		r.advance()
		if r.since()%time.Second == 0 {
			r.endSecond()
		}
	}
	r.closeGap()
	r.result.lost = max(0, bitrate/8*t.length.Seconds()-r.arrived)
	if r.result.gaps > 0 {
		r.result.mean = r.gapTotal / time.Duration(r.result.gaps)
	}
	return r.result
}

func (r *run) since() time.Duration { return r.now.Sub(epoch) }

func (r *run) conditions(route int) conditions { return r.trace.at(route, r.since()) }

// perform performs the effects of the policy.
func (r *run) perform(effects []policy.Effect) {
	for _, e := range effects {
		switch e.Kind {
		case policy.Dial, policy.Probe:
			probe := e.Kind == policy.Probe
			o, takes := r.conditions(e.Route).dial(probe)
			r.attempts = append(r.attempts, attempt{at: r.now.Add(takes), started: r.now, route: e.Route, probe: probe, outcome: o})
			if !probe {
				r.result.dials++
			}
		case policy.Use:
			if e.From >= 0 {
				r.lines[e.From].up = false
			}
			r.active = e.Route
		case policy.Drop:
			r.lines[e.Route].up = false
		case policy.Cancel:
			for i := range r.attempts {
				if a := &r.attempts[i]; a.route == e.Route {
					a.at = r.now
					if a.outcome == qos.DialOK {
						a.outcome = qos.DialFailed
					}
				}
			}
		case policy.Decided:
			r.result.decisions = append(r.result.decisions, decision{r.since(), e.Reason})
			if e.Switched() {
				r.result.switches++
			}
		}
	}
}

// advance simulates one step.
func (r *run) advance() {
	for {
		i := slices.IndexFunc(r.attempts, func(a attempt) bool { return !a.at.After(r.now) })
		if i < 0 {
			break
		}
		a := r.attempts[i]
		r.attempts = slices.Delete(r.attempts, i, i+1)
		r.finishAttempt(a)
	}
	if i := r.active; i >= 0 {
		r.transmit(i)
	} else {
		r.gap += step
	}
	if next := r.group.Next(); !next.IsZero() && !next.After(r.now) {
		r.perform(r.group.Tick(r.now))
	}
}

func (r *run) finishAttempt(a attempt) {
	took := map[qos.Phase]time.Duration{qos.PhaseTCP: r.now.Sub(a.started)}
	if a.outcome == qos.DialOK {
		rtt := r.conditions(a.route).rtt
		took = map[qos.Phase]time.Duration{qos.PhaseTCP: rtt, qos.PhaseHandshake: 2 * rtt, qos.PhaseConnect: rtt}
	}
	r.histories[a.route].Attempt(qos.Attempt{At: r.now, Probe: a.probe, Outcome: a.outcome, Took: took})
	if a.probe {
		r.perform(r.group.Probed(r.now, a.route, a.outcome == qos.DialOK))
		return
	}
	if a.outcome == qos.DialOK {
		r.lines[a.route].open(r.now)
	}
	r.perform(r.group.Dialed(r.now, a.route, a.outcome))
}

// transmit sends the stream over route i.
func (r *run) transmit(i int) {
	c, l := r.conditions(i), &r.lines[i]
	arrived := 0.0
	if !c.down {
		arrived = l.transmit(c, true)
	}
	r.arrived += arrived
	r.secondBytes += arrived
	if arrived == 0 {
		r.gap += step
	} else {
		r.closeGap()
	}
	var cause string
	switch {
	case c.down:
		cause = "reset"
	case l.stalled >= stallTimeout:
		cause = "silence"
	default:
		return
	}
	l.up, r.active = false, -1
	r.histories[i].Broke(r.now, cause, r.now.Sub(l.since))
	r.perform(r.group.Broke(r.now, i, cause))
}

func (r *run) closeGap() {
	r.result.longest = max(r.result.longest, r.gap)
	if r.gap >= time.Second {
		r.result.gaps++
		r.gapTotal += r.gap
	}
	r.gap = 0
}

// endSecond ends a second: it takes samples, updates scores and adds a point to the plot.
func (r *run) endSecond() {
	if i := r.active; i >= 0 {
		s := r.lines[i].takeSample(r.now, r.conditions(i), r.chance)
		r.histories[i].Sample(s)
		if s.Delivered > 0 {
			r.perform(r.group.Delivered(r.now, i))
		}
	}
	p := point{at: r.since(), active: r.active, rate: r.secondBytes * 8}
	r.secondBytes = 0
	scores := make([]policy.Score, len(r.histories))
	for i := range r.histories {
		scores[i] = policy.ScoreRoute(r.histories[i].Summary(r.now))
		p.scores = append(p.scores, scores[i].Value)
	}
	r.perform(r.group.Scores(r.now, scores))
	for _, route := range r.group.Status(r.now).Routes {
		p.states = append(p.states, route.State)
	}
	r.result.points = append(r.result.points, p)
}
