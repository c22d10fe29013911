package policy

import (
	"slices"
	"time"
)

// State is what a route of a group is at. The values are those of holdfast_route_state.
type State uint8

const (
	Idle       State = iota // not started
	Dialing                 // a dial is under way
	Up                      // it carries the stream
	BackingOff              // waits for its next dial
	Standby                 // another carries, or is dialled first
	Broken                  // known not to work: it failed last, was denied or given up
)

func (s State) String() string {
	return [...]string{"idle", "dialing", "up", "backing_off", "standby", "broken"}[s]
}

// MarshalText has JSON show the name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// GroupStatus is a group at one moment.
type GroupStatus struct {
	Routes    []RouteStatus `json:"routes"`
	Active    string        `json:"active"` // the one that carries; empty: none
	Forced    string        `json:"forced,omitempty"`
	Switches  int           `json:"switches"`
	Decisions []Decision    `json:"decisions"` // the newest first
}

// RouteStatus is a route of a group at one moment.
type RouteStatus struct {
	Name         string    `json:"name"`
	State        State     `json:"state"`
	Since        time.Time `json:"since,omitzero"` // of the state
	Fails        int       `json:"fails"`          // in a row, without sustained media between
	Backoff      float64   `json:"backoff_seconds"`
	HealthySince time.Time `json:"healthy_since,omitzero"`
	Rise         float64   `json:"rise_seconds"` // the health it needs to get the stream back; more after it flapped
	Denied       bool      `json:"denied,omitempty"`
	GaveUp       bool      `json:"gave_up,omitempty"`
	LastFailure  string    `json:"last_failure,omitempty"` // outcome of the dial, cause of the break, or probe
	LastFailed   time.Time `json:"last_failed,omitzero"`
	Score        float64   `json:"score"`
}

// Status is the group at now.
func (g *Group) Status(now time.Time) GroupStatus {
	s := GroupStatus{
		Active: g.name(g.active), Forced: g.name(g.forced), Switches: g.switches,
		Decisions: slices.Clone(g.decisions),
	}
	slices.Reverse(s.Decisions)
	for i := range g.routes {
		r := &g.routes[i]
		route := RouteStatus{
			Name: r.name, State: r.state, Since: r.since, Fails: r.fails, HealthySince: r.healthySince,
			Rise: need(g.cfg.Rise, r.flaps).Seconds(), Denied: r.denied, GaveUp: r.gaveUp,
			LastFailure: r.failure, LastFailed: r.failed, Score: r.score,
		}
		if (g.wanted(i) || r.denied) && !r.dialing {
			route.Backoff = max(0, r.due.Sub(now).Seconds())
		}
		if r.bad { // where there are no probes, it counts from the failure
			route.HealthySince = time.Time{}
		}
		s.Routes = append(s.Routes, route)
	}
	return s
}

func (g *Group) stateOf(i int) State {
	r := &g.routes[i]
	switch {
	case !g.started:
		return Idle
	case i == g.active:
		return Up
	case r.dialing && !r.dialUnwanted:
		return Dialing
	case r.denied || r.gaveUp:
		return Broken
	case g.wanted(i):
		return BackingOff
	case r.bad:
		return Broken
	}
	return Standby
}
