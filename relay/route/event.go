package route

import (
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// EventType is the type of an event. The values are those of the event API.
type EventType string

// The events of routes.
const (
	Dialed   EventType = "route_dialed"  // a dial succeeded or failed
	Carries  EventType = "route_up"      // a route starts to carry the stream
	Broke    EventType = "route_broke"   // the route that carried the stream has broken
	Decided  EventType = "route_decided" // the policy has decided something
	Switched EventType = "route_switch"  // another route carries the stream
	Level    EventType = "route_level"   // the quality ladder changed its step
	Ceiling  EventType = "publish_ceiling"
)

// Event is something that happened to a route. Nothing in it is secret.
type Event struct {
	Time                 time.Time
	Type                 EventType
	Stream, Group, Route string
	From                 string      // of a switch
	Outcome              qos.Outcome // of a dial
	Cause                string      // of a break, a decision or a level
	Detail               string
	Took                 time.Duration // duration of a dial; of a break: how long the route had carried
	Rung                 policy.Rung   // of a level
	Level                int           // of a level
	Bits                 float64       // of a ceiling, in bits per second; 0: none
}

// Observer receives the events of routes. Observe must not block.
type Observer interface{ Observe(Event) }
