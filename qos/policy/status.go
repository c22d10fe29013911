package policy

import (
	"slices"
	"time"
)

// State is the state of a route of a group. Its values are the values of the metric holdfast_route_state.
type State uint8

const (
	Idle       State = iota // not started
	Dialing                 // a dial is in progress
	Up                      // carries the stream
	BackingOff              // waits for its next dial
	Standby                 // another route is active or is dialled first
	Broken                  // known not to work: its latest result is a failure, it was denied or it gave up
)

func (s State) String() string {
	return [...]string{"idle", "dialing", "up", "backing_off", "standby", "broken"}[s]
}

// MarshalText returns the state's name, for JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// GroupStatus is the status of a group at one moment.
type GroupStatus struct {
	Routes    []RouteStatus `json:"routes"`
	Active    string        `json:"active"` // the route that carries the stream; empty for none
	Forced    string        `json:"forced,omitempty"`
	Switches  int           `json:"switches"`
	Decisions []Decision    `json:"decisions"` // newest first
}

// RouteStatus is the status of a route of a group at one moment.
type RouteStatus struct {
	Name         string    `json:"name"`
	State        State     `json:"state"`
	Since        time.Time `json:"since,omitzero"` // of the state
	Fails        int       `json:"fails"`          // consecutive failures without sustained media
	Backoff      float64   `json:"backoff_seconds"`
	HealthySince time.Time `json:"healthy_since,omitzero"`
	Rise         float64   `json:"rise_seconds"` // seconds of health before the stream returns to it
	Denied       bool      `json:"denied,omitempty"`
	GaveUp       bool      `json:"gave_up,omitempty"`
	LastFailure  string    `json:"last_failure,omitempty"` // outcome of a dial, cause of a break, or "probe"
	LastFailed   time.Time `json:"last_failed,omitzero"`
	Score        float64   `json:"score"`
}

// Status returns the group's status at time now.
func (g *Group) Status(now time.Time) GroupStatus {
	s := GroupStatus{
		Active: g.name(g.active), Forced: g.name(g.forced), Switches: g.switches,
		Decisions: slices.Clone(g.decisions),
	}
	slices.Reverse(s.Decisions)
	for i := range g.routes {
		r := &g.routes[i]
		route := RouteStatus{
			Name: r.name, State: r.state, Since: r.since, Fails: r.consecutiveFails, HealthySince: r.healthySince,
			Rise: requiredHealth(g.cfg.Rise, r.flaps).Seconds(), Denied: r.denied, GaveUp: r.gaveUp,
			LastFailure: r.failure, LastFailed: r.failedAt, Score: r.score,
		}
		if (g.needsDial(i) || r.denied) && !r.dialing {
			route.Backoff = max(0, r.nextDial.Sub(now).Seconds())
		}
		if r.failing { // without probes, health counts from the failure
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
	case g.needsDial(i):
		return BackingOff
	case r.failing:
		return Broken
	}
	return Standby
}
