package route

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/route/dial"
)

// Status is the status of one stream in one group, for operators.
type Status struct {
	Stream string
	Group  string
	Pull   bool
	policy.GroupStatus

	// Of a push: the rung in force, and why the ladder last moved.
	Rung        policy.Rung
	Level       int
	Share       float64 // fraction of each GOP that is sent at the rung trim
	Offer       string  // the rendition that is sent; empty: the stream itself
	Forced      string  // the rung that the operator chose; empty: none
	Reason      policy.Reason
	Rates       policy.Rates // of the stream itself
	Line        policy.Line
	Capacity    float64      // bits per second that the line was measured to carry; 0 while unknown
	Connections []Connection // one for each route, in the same order
}

// Connection is the connection and history of a route.
type Connection struct {
	Target  string // without secrets
	Host    string
	Waiting bool          // the dial waits for the host's breaker
	Up      time.Time     // when it was established; zero: not connected
	RTT     time.Duration // 0 while unknown
	Score   policy.Score
	Last    string // how the last dial or connection ended
	History qos.Summary
}

// Status returns the status of all runners, sorted by group and stream. It includes the history of
// each route if history is true.
func (r *Routes) Status(now time.Time, history bool) []Status {
	return r.status(now, history, func(string) bool { return true })
}

// StatusOf returns the status of one stream, with the history of its routes.
func (r *Routes) StatusOf(now time.Time, stream string) []Status {
	return r.status(now, true, func(name string) bool { return name == stream })
}

// status returns the status of the streams for which wanted returns true.
func (r *Routes) status(now time.Time, history bool, wanted func(name string) bool) []Status {
	r.mu.Lock()
	runners := make([]*runner, 0, len(r.runners))
	for at, run := range r.runners {
		if wanted(at.stream) {
			runners = append(runners, run)
		}
	}
	r.mu.Unlock()
	out := make([]Status, 0, len(runners))
	for _, run := range runners {
		out = append(out, run.status(now, history))
	}
	slices.SortFunc(out, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Stream, b.Stream))
	})
	return out
}

// Groups returns the groups in force.
func (r *Routes) Groups() []Group {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.groups)
}

// Breakers returns the status of the breakers of all hosts that were dialed, sorted by host.
func (r *Routes) Breakers(now time.Time) []dial.BreakerStatus { return r.hosts.Status(now) }

func (r *runner) status(now time.Time, history bool) Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Status{
		Stream: r.stream, Group: r.group.Name, Pull: r.group.Pull, GroupStatus: r.core.Status(now),
		Rung: r.choice.Step.Rung, Level: r.choice.Step.Level, Share: r.choice.Share, Offer: r.choice.Step.Offer,
		Reason: r.reason, Line: r.line,
	}
	s.Capacity, _ = r.ladder.Capacity()
	if f := r.ladder.Forced(); f != nil {
		s.Forced = f.String()
	}
	if len(r.offers) > 0 {
		s.Rates = r.offers[0].Rates
	}
	for i := range r.routes {
		w := &r.routes[i]
		conn := Connection{Target: w.target, Host: w.host, Waiting: w.waiting, RTT: w.rtt, Score: w.score, Last: w.last}
		if w.up() {
			conn.Up = w.began
		}
		if history {
			conn.History = r.all.histories.summary(now, w.key)
		}
		if w.waiting && s.Routes[i].State == policy.Dialing {
			s.Routes[i].State = policy.BackingOff
		}
		s.Connections = append(s.Connections, conn)
	}
	return s
}

// carried returns what the push carries of its stream, and the stream's bitrate in bits per second.
func (r *runner) carried(now time.Time) (policy.Carried, float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active < 0 {
		return policy.Carried{}, 0 // no limit for the publisher follows from a route that is down
	}
	c := policy.Carried{Full: r.sendsAll()}
	if bits, at := r.ladder.Capacity(); now.Sub(at) < time.Minute {
		c.Capacity = bits
	}
	if len(r.offers) == 0 {
		return c, 0
	}
	return c, r.offers[0].Rates.Total()
}

// Errors of operator requests.
var (
	// ErrNoRunner reports that the group does not carry a stream of that name.
	ErrNoRunner = errors.New("no such stream is carried by that group")
	// ErrNoRoute reports that the group has no route of that name.
	ErrNoRoute = errors.New("the group has no route of that name")
	// ErrNoRung reports that the requested rung is not part of the group's ladder.
	ErrNoRung = errors.New("the group's ladder has no such rung")
	// ErrNoHost reports that no route has dialed that host.
	ErrNoHost = errors.New("no route has dialled that host")
)

// Force makes one of the group's routes carry the stream, whatever the routes' histories. An empty
// route lets the policy decide again.
func (r *Routes) Force(group, stream, route string) error {
	return r.act(group, stream, func(run *runner, now time.Time) error {
		i := -1
		if route != "" {
			if i = run.index(route); i < 0 {
				return ErrNoRoute
			}
		}
		run.perform(now, run.core.Force(now, i))
		return nil
	})
}

// Reset clears the failures of a route, and dials it if it is needed.
func (r *Routes) Reset(group, stream, route string) error {
	return r.act(group, stream, func(run *runner, now time.Time) error {
		i := run.index(route)
		if i < 0 {
			return ErrNoRoute
		}
		run.perform(now, run.core.Reset(now, i))
		return nil
	})
}

// ForceRung keeps a push at a rung of its group's ladder. An empty rung lets the policy decide again.
func (r *Routes) ForceRung(group, stream, rung string) error {
	return r.act(group, stream, func(run *runner, _ time.Time) error {
		if rung == "" {
			run.ladder.Force(nil)
			return nil
		}
		place, err := policy.ParsePlace(rung)
		if err != nil || run.group.Pull || !slices.ContainsFunc(run.group.Ladder, func(p policy.Place) bool {
			return p == place || p.Rung == place.Rung && p.Name == ""
		}) {
			return ErrNoRung
		}
		run.ladder.Force(&place)
		return nil
	})
}

// ResetBreaker closes the breaker of a host, so that the host is dialed as if it had never failed.
func (r *Routes) ResetBreaker(host string) error {
	if !r.hosts.Reset(host) {
		return ErrNoHost
	}
	return nil
}

func (r *Routes) act(group, stream string, f func(run *runner, now time.Time) error) error {
	r.mu.Lock()
	run := r.runners[runnerKey{stream, group}]
	r.mu.Unlock()
	if run == nil {
		return ErrNoRunner
	}
	var err error
	run.input(func(now time.Time) { err = f(run, now) })
	return err
}

func (r *runner) index(route string) int {
	return slices.IndexFunc(r.routes, func(w routeState) bool { return w.Name == route })
}
