package policy

import "time"

// EffectKind is the kind of an effect.
type EffectKind uint8

const (
	Dial    EffectKind = iota // start a dial; Dialed must report its result once, also after a Cancel
	Probe                     // start a probe; Probed must report its result once, also after a Cancel
	Use                       // Route carries the stream from now on; end From, unless -1, once Route has sent
	Drop                      // close the connection that Dialed reported: it is no longer wanted
	Cancel                    // the route's dial or probe in progress is no longer wanted; its result is ignored
	Decided                   // a decision was made, see Reason; Route is its subject, or -1
)

func (k EffectKind) String() string {
	return [...]string{"dial", "probe", "use", "drop", "cancel", "decided"}[k]
}

// Effect is something for the caller to do or to report, in order.
type Effect struct {
	Kind  EffectKind
	Route int
	// From is, for Use, the route that carried the stream until now and is still connected. For the
	// decision to switch, it is the route that carried last, connected or not. Otherwise it is -1.
	From   int
	Reason Reason // of Use and Decided
}

// Switched reports whether the effect is a decision to switch routes, which
// holdfast_route_switches_total counts.
func (e Effect) Switched() bool { return e.Kind == Decided && e.From >= 0 }

// The causes of decisions. The first four are those of a switch from one route to another.
const (
	SwitchBroken = "broken" // the active route broke, and another came up first
	SwitchScore  = "score"  // the active route scored worse than another
	SwitchReturn = "return" // a preferred route has been healthy for long enough
	SwitchForced = "forced" // the operator forced a route

	RouteStarted = "start"   // the first route came up
	RouteRedial  = "redial"  // the route that carried last is up again; for Use only
	RouteHelped  = "help"    // another route is dialled in addition to those that do not come up
	RouteDenied  = "denied"  // the destination denied the route
	RouteGaveUp  = "gave_up" // too many consecutive failures
	AllGaveUp    = "all_gave_up"
	RouteForced  = "force" // the operator forced a route, or stopped forcing it
	RouteReset   = "reset" // the operator reset a route's failures
)

// SwitchCauses returns the causes of a switch, the label values of
// holdfast_route_switches_total, for metrics that start at 0.
func SwitchCauses() []string {
	return []string{SwitchBroken, SwitchScore, SwitchReturn, SwitchForced}
}

// Decision is a decision of a group, with its time.
type Decision struct {
	At     time.Time `json:"at"`
	Route  string    `json:"route,omitempty"`
	From   string    `json:"from,omitempty"` // of a switch
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
