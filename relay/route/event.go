package route

import (
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// EventType tells events apart; the values are those of the event API.
type EventType string

// The events of routes.
const (
	Dialed   EventType = "route_dialed"  // a dial came to its end, well or not
	Carries  EventType = "route_up"      // a route carries the stream from now on
	Broke    EventType = "route_broke"   // one that carried it does not any more
	Decided  EventType = "route_decided" // the group decided something
	Switched EventType = "route_switch"  // of that, to go from one route to another
	Level    EventType = "route_level"   // more or less of the stream is sent
	Ceiling  EventType = "publish_ceiling"
)

// Event is something that happened to a route. Nothing in it is secret.
type Event struct {
	Time                 time.Time
	Type                 EventType
	Stream, Group, Route string
	From                 string      // of a switch
	Outcome              qos.Outcome // of a dial
	Cause                string      // of a break, a decision, a level
	Detail               string
	Took                 time.Duration // of a dial; of a break: how long it had carried
	Rung                 policy.Rung   // of a level
	Level                int           // of a level
	Bits                 float64       // of a ceiling, per second; 0: none
}

// Observer is told what happens to routes. It must not wait.
type Observer interface{ Observe(Event) }
