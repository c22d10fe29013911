package policy

import "time"

// EffectKind is the kind of an effect.
type EffectKind uint8

const (
	Dial    EffectKind = iota // start a dial, and call Dialed once with its result, also after a Cancel
	Probe                     // start a probe, and call Probed once with its result, also after a Cancel
	Use                       // send the stream over Route; close From, unless -1, once Route has sent
	Drop                      // close the connection that was passed to Dialed, which is not needed
	Cancel                    // cancel the route's dial or probe in progress; its result will be ignored
	Decided                   // report a decision, see Reason; Route is its subject, or -1
)

func (k EffectKind) String() string {
	return [...]string{"dial", "probe", "use", "drop", "cancel", "decided"}[k]
}

// Effect is an instruction of a Group to its caller. The caller must carry out effects in order.
type Effect struct {
	Kind  EffectKind
	Route int
	// From is, for Use, the route that carried the stream until now and is still connected. For a
	// decision to switch routes, it is the route that last carried the stream, connected or not. Otherwise
	// it is -1.
	From   int
	Reason Reason // for Use and Decided
}

// Switched reports whether the effect is a decision to switch routes. The metric
// holdfast_route_switches_total counts such decisions.
func (e Effect) Switched() bool { return e.Kind == Decided && e.From >= 0 }

// The causes of decisions. The first four, SwitchBroken to SwitchForced, are causes of a switch from one
// route to another.
const (
	SwitchBroken = "broken" // the active route broke, and another came up first
	SwitchScore  = "score"  // the active route scored worse than another
	SwitchReturn = "return" // a more preferred route has been healthy for long enough
	SwitchForced = "forced" // the operator forced a route

	RouteStarted = "start"   // the first route came up
	RouteRedial  = "redial"  // the route that last carried the stream is up again; for Use only
	RouteHelped  = "help"    // another route is dialled too, because the dialled ones did not come up
	RouteDenied  = "denied"  // the destination denied the route
	RouteGaveUp  = "gave_up" // too many consecutive failures
	AllGaveUp    = "all_gave_up"
	RouteForced  = "force" // the operator forced a route, or stopped forcing it
	RouteReset   = "reset" // the operator reset a route's failures
)

// SwitchCauses returns the causes of a switch. They are the label values of the metric
// holdfast_route_switches_total, whose series are exported from the start with value 0.
func SwitchCauses() []string {
	return []string{SwitchBroken, SwitchScore, SwitchReturn, SwitchForced}
}

// Decision is a decision of a group, with its time, for display.
type Decision struct {
	At     time.Time `json:"at"`
	Route  string    `json:"route,omitempty"`
	From   string    `json:"from,omitempty"` // the previous route, for a switch
	Reason Reason    `json:"reason"`
}

// maxDecisions is the number of decisions kept.
const maxDecisions = 16

func (g *Group) emit(kind EffectKind, route, from int, why Reason) {
	g.effects = append(g.effects, Effect{Kind: kind, Route: route, From: from, Reason: why})
}

func (g *Group) decide(now time.Time, route, from int, why Reason) {
	g.emit(Decided, route, from, why)
	if len(g.decisions) == maxDecisions {
		g.decisions = append(g.decisions[:0], g.decisions[1:]...)
	}
	g.decisions = append(g.decisions, Decision{At: now, Route: g.name(route), From: g.name(from), Reason: why})
}

func (g *Group) name(route int) string {
	if route < 0 {
		return ""
	}
	return g.routes[route].name
}
