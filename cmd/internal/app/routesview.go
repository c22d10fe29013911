package app

import (
	"errors"
	"time"

	"github.com/holdfast-live/holdfast/cmd/internal/redact"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/api"
	"github.com/holdfast-live/holdfast/relay/route"
)

// routesView provides the routes to the API. It implements api.Routes.
type routesView struct {
	routes  *route.Routes
	secrets *redact.Secrets // may be nil
}

// Routes implements api.Routes.
func (v *routesView) Routes(stream string) ([]api.RouteGroup, []api.Breaker) {
	now := time.Now()
	groups := []api.RouteGroup{}
	at, ladders := map[string]int{}, map[string][]string{}
	for _, g := range v.routes.Groups() {
		out := api.RouteGroup{Name: g.Name, Direction: "push", Match: g.Match, OnDemand: g.OnDemand, Streams: []api.RouteStream{}}
		if g.Pull {
			out.Direction = "pull"
		}
		for _, r := range g.Routes {
			out.Routes = append(out.Routes, r.Name)
		}
		ladder := []string{}
		for _, p := range g.Ladder {
			ladder = append(ladder, p.String())
		}
		at[g.Name], ladders[g.Name] = len(groups), ladder
		groups = append(groups, out)
	}
	all := func() []route.Status { return v.routes.Status(now, true) }
	if stream != "" {
		all = func() []route.Status { return v.routes.StatusOf(now, stream) }
	}
	for _, s := range all() {
		if i, ok := at[s.Group]; ok {
			groups[i].Streams = append(groups[i].Streams, v.routeStream(s, ladders[s.Group]))
		}
	}
	breakers := []api.Breaker{}
	for _, b := range v.routes.Breakers(now) {
		breakers = append(breakers, api.Breaker{
			Host: b.Host, State: b.State.String(), Failures: b.Failures, InFlight: b.InFlight, Dials: b.Dials,
			Waiting: b.Waiting, Next: b.Trial,
		})
	}
	return groups, breakers
}

// Lines implements api.Routes.
func (v *routesView) Lines() []api.Line {
	onDemand := map[string]bool{}
	for _, g := range v.routes.Groups() {
		onDemand[g.Name] = g.OnDemand
	}
	all := v.routes.Status(time.Now(), false)
	out := make([]api.Line, 0, len(all))
	for _, s := range all {
		out = append(out, api.Line{
			Stream: s.Stream, Group: s.Group, Down: s.Active == "" && !onDemand[s.Group], Push: !s.Pull, Lag: s.Line.Lag.Seconds(),
		})
	}
	return out
}

func (v *routesView) routeStream(s route.Status, rungs []string) api.RouteStream {
	out := api.RouteStream{
		Stream: s.Stream, Active: s.Active, Forced: s.GroupStatus.Forced, Switches: s.Switches,
		Routes: []api.Route{}, Decisions: []api.Decision{},
	}
	if !s.Pull {
		out.Ladder = &api.Ladder{
			Rung: s.Rung.String(), Level: s.Level, Rendition: s.Offer, Forced: s.Forced, Cause: s.Reason.Cause,
			Reason: s.Reason.Text, Lag: s.Line.Lag.Seconds(), Delivered: s.Line.Rate, Capacity: s.Capacity,
			Stream: s.Rates.Total(), Rungs: rungs,
		}
		if s.Rung == policy.Trim {
			out.Ladder.Share = s.Share
		}
	}
	for i, r := range s.Routes {
		out.Routes = append(out.Routes, v.oneRoute(r, s.Connections[i]))
	}
	for _, d := range s.Decisions {
		out.Decisions = append(out.Decisions, api.Decision{At: d.At, Route: d.Route, From: d.From, Cause: d.Reason.Cause, Text: d.Reason.Text})
	}
	return out
}

func (v *routesView) oneRoute(r policy.RouteStatus, w route.Connection) api.Route {
	out := api.Route{
		Name: r.Name, Target: w.Target, Host: w.Host, State: r.State.String(), Since: moment(r.Since), Fails: r.Fails,
		Backoff: r.Backoff, Waiting: w.Waiting, Denied: r.Denied, GaveUp: r.GaveUp, Healthy: moment(r.HealthySince),
		Rise: r.Rise, RTT: w.RTT.Seconds(), LastFailure: v.secrets.Text(w.Last), LastFailed: moment(r.LastFailed),
		Score: api.Score{Value: w.Score.Value, Parts: []api.Part{}}, History: w.History,
	}
	for _, p := range w.Score.Parts {
		out.Score.Parts = append(out.Score.Parts, api.Part{Name: p.Name, Value: p.Value, Why: p.Why})
	}
	return out
}

// moment returns a pointer to t, or nil if t is zero.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Act implements api.Routes.
func (v *routesView) Act(act api.RouteAct, group, stream, value string) error {
	const list = "GET /api/v1/routes lists the routes"
	var err error
	switch act {
	case api.ForceRoute:
		err = v.routes.Force(group, stream, value)
	case api.ForceRung:
		err = v.routes.ForceRung(group, stream, value)
	case api.ResetRoute:
		err = v.routes.Reset(group, stream, value)
	case api.ResetBreaker:
		err = v.routes.ResetBreaker(value)
	}
	for _, known := range []error{route.ErrNoRunner, route.ErrNoRoute, route.ErrNoRung, route.ErrNoHost} {
		if errors.Is(err, known) {
			return &api.ActError{Reason: err.Error(), Hint: list}
		}
	}
	return err
}
