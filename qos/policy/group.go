package policy

import "time"

// State is what a route of a group is at. The values are those of holdfast_route_state.
type State uint8

const (
	Idle       State = iota // not started
	Dialing                 // a dial is under way
	Up                      // it carries the stream
	BackingOff              // waits for its next dial
	Standby                 // another carries, or is dialled first
	Broken                  // known not to work: by probes, denied or given up
)

func (s State) String() string {
	return [...]string{"idle", "dialing", "up", "backing_off", "standby", "broken"}[s]
}

// MarshalText has JSON show the name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// GroupConfig is what an operator may set for a group of routes, of which one carries.
type GroupConfig struct {
	Routes  []string // names, in order of preference
	Backoff Backoff
	GiveUp  int           // failures in a row, without sustained media between, that end redialling; 0: never
	After   time.Duration // a route broken for as long is helped by the next one
	Rise    time.Duration // a better one gets the stream back after as long in health
	Probe   time.Duration // between two probes of a route that stands by
	Margin  float64       // by which a score must be worse to count; 0: 0.25
	// NoProbe has no route probed. A better one is then tried after Rise by a dial.
	NoProbe bool
}

// EffectKind tells effects apart.
type EffectKind uint8

const (
	Dial    EffectKind = iota // start a dial; Dialed must answer it once, also after a Cancel
	Probe                     // start a probe; Probed must answer it once, also after a Cancel
	Use                       // Route carries the stream from now on; From, unless -1, still lives and is to be ended once Route has sent
	Drop                      // close this connection: it came up too late
	Cancel                    // the dial or probe under way of this route is not wanted any more; its answer is ignored
	Decided                   // a decision was made; see Reason. Route is what it is about; of a switch From is the route that carried before, else -1
)

func (k EffectKind) String() string {
	return [...]string{"dial", "probe", "use", "drop", "cancel", "decided"}[k]
}

// Effect is something for the shell to do or to tell, in order.
type Effect struct {
	Kind        EffectKind
	Route, From int
	Reason      Reason // of Use and Decided
}

// The causes of decisions. The first four are those of a switch from one route to another:
// the label values of holdfast_route_switches_total.
const (
	SwitchBroken = "broken" // the one that carried broke, and another came up first
	SwitchScore  = "score"  // it did worse than another
	SwitchReturn = "return" // a better one has been healthy for long enough
	SwitchForced = "forced" // the operator said so

	RouteStarted = "start"   // the first to carry
	RouteRedial  = "redial"  // the one that carried before is up again
	RouteHelped  = "help"    // another is dialled beside those that do not come up
	RouteDenied  = "denied"  // the far side will not have us
	RouteGaveUp  = "gave_up" // too many failures in a row
	AllGaveUp    = "all_gave_up"
	RouteForced  = "force" // the operator forces a route, or none any more
	RouteReset   = "reset" // the operator has a route's failures forgotten
)

// SwitchCauses lists the causes of a switch, for metrics that start at 0.
func SwitchCauses() []string { return []string{SwitchBroken, SwitchScore, SwitchReturn, SwitchForced} }

// Switched tells whether the effect is the decision to go from one route to another: what
// holdfast_route_switches_total counts.
func (e Effect) Switched() bool { return e.Kind == Decided && e.From >= 0 }

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
	Rise         float64   `json:"rise_seconds"` // the health it needs to get the stream back: longer, after it flapped
	Denied       bool      `json:"denied,omitempty"`
	GaveUp       bool      `json:"gave_up,omitempty"`
	LastFailure  string    `json:"last_failure,omitempty"` // outcome of the dial, or cause of the break
	LastFailed   time.Time `json:"last_failed,omitzero"`
	Score        float64   `json:"score"`
}

// Decision is one that was made.
type Decision struct {
	At     time.Time `json:"at"`
	Route  string    `json:"route"`
	From   string    `json:"from,omitempty"` // of a switch
	Reason Reason    `json:"reason"`
}
