package policy

import "time"

// EffectKind tells effects apart.
type EffectKind uint8

const (
	Dial    EffectKind = iota // start a dial; Dialed must answer it once, also after a Cancel
	Probe                     // start a probe; Probed must answer it once, also after a Cancel
	Use                       // Route carries the stream from now on; From, unless -1, still lives and is to be ended once Route has sent
	Drop                      // close the connection that Dialed told of: it is not wanted any more
	Cancel                    // the dial or probe under way of this route is not wanted any more; its answer is ignored
	Decided                   // a decision was made, see Reason; Route is what it is about, or -1
)

func (k EffectKind) String() string {
	return [...]string{"dial", "probe", "use", "drop", "cancel", "decided"}[k]
}

// Effect is something for the shell to do or to tell, in order.
type Effect struct {
	Kind  EffectKind
	Route int
	// From is, of Use, the route that carried until now and still lives; of the decision to
	// switch, the route that carried last, alive or not. Else -1.
	From   int
	Reason Reason // of Use and Decided
}

// Switched tells whether the effect is the decision to go from one route to another: what
// holdfast_route_switches_total counts.
func (e Effect) Switched() bool { return e.Kind == Decided && e.From >= 0 }

// The causes of decisions. The first four are those of a switch from one route to another.
const (
	SwitchBroken = "broken" // the one that carried broke, and another came up first
	SwitchScore  = "score"  // it did worse than another
	SwitchReturn = "return" // a better one has been healthy for long enough
	SwitchForced = "forced" // the operator said so

	RouteStarted = "start"   // the first to carry
	RouteRedial  = "redial"  // the one that carried before is up again; of Use only
	RouteHelped  = "help"    // another is dialled beside those that do not come up
	RouteDenied  = "denied"  // the far side will not have us
	RouteGaveUp  = "gave_up" // too many failures in a row
	AllGaveUp    = "all_gave_up"
	RouteForced  = "force" // the operator forces a route, or none any more
	RouteReset   = "reset" // the operator has a route's failures forgotten
)

// SwitchCauses lists the causes of a switch: the label values of
// holdfast_route_switches_total, which start at 0.
func SwitchCauses() []string {
	return []string{SwitchBroken, SwitchScore, SwitchReturn, SwitchForced}
}

// Decision is one that was made.
type Decision struct {
	At     time.Time `json:"at"`
	Route  string    `json:"route,omitempty"`
	From   string    `json:"from,omitempty"` // of a switch
	Reason Reason    `json:"reason"`
}

// maxDecisions are remembered.
const maxDecisions = 16

func (g *Group) emit(kind EffectKind, route, from int, why Reason) {
	g.out = append(g.out, Effect{Kind: kind, Route: route, From: from, Reason: why})
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
