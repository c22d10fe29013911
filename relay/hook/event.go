package hook

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Type is a type of event. The values appear in the configuration and in payloads.
type Type string

// Types of events. Publish and Play are questions, which a hook may answer with a refusal; the others are
// notifications.
const (
	Publish     Type = "on_publish"
	Play        Type = "on_play"
	Unpublish   Type = "on_unpublish"    // a publisher ended cleanly
	Break       Type = "on_break"        // a publisher ended without an unpublish, or is silent
	Resume      Type = "on_resume"       // the stream continues
	Backup      Type = "on_backup"       // the backup takes over from the primary, or vice versa
	RouteSwitch Type = "on_route_switch" // a stream switches to another route
)

// Types returns all types.
func Types() []Type { return []Type{Publish, Play, Unpublish, Break, Resume, Backup, RouteSwitch} }

// Outcome is the outcome of an event at one hook. The values are label values of
// holdfast_hook_events_total.
type Outcome string

// Outcomes of an event.
const (
	Delivered Outcome = "delivered" // a notification was accepted, or a question allowed
	Refused   Outcome = "refused"   // a question was refused
	Failed    Outcome = "failed"    // no valid response, even after retries
	Dropped   Outcome = "dropped"   // dropped in favor of a newer event, or at shutdown
)

// Outcomes returns all outcomes.
func Outcomes() []Outcome { return []Outcome{Delivered, Refused, Failed, Dropped} }

// Event is the payload of a hook, encoded as JSON. It contains no secrets.
type Event struct {
	// ID is unique per event, and the same for each retry.
	ID       string    `json:"id"`
	Type     Type      `json:"event"`
	Time     time.Time `json:"time"`
	Stream   string    `json:"stream"`
	Session  string    `json:"session,omitempty"` // of the publisher
	Role     string    `json:"role,omitempty"`    // role of the publisher: primary or backup
	Standby  bool      `json:"standby,omitempty"` // for Break and Unpublish: the session was the standby
	After    string    `json:"after,omitempty"`   // for Backup: the session that fed the stream before
	Protocol string    `json:"protocol,omitempty"`
	Remote   string    `json:"remote,omitempty"`
	Agent    string    `json:"agent,omitempty"`
	Cause    string    `json:"cause,omitempty"`
	Detail   string    `json:"detail,omitempty"`
	Outage   float64   `json:"outage_seconds,omitempty"` // for Resume
	Group    string    `json:"group,omitempty"`          // for RouteSwitch, like the fields below
	Route    string    `json:"route,omitempty"`
	From     string    `json:"from,omitempty"`
}

// message is an encoded event.
type message struct {
	id   string
	kind Type
	at   time.Time
	body []byte
}

// message encodes an event with a new ID.
func (e Event) message(now time.Time) (message, error) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	e.ID = hex.EncodeToString(b[:])
	if e.Time.IsZero() {
		e.Time = now
	}
	body, err := json.Marshal(e)
	return message{id: e.ID, kind: e.Type, at: now, body: body}, err
}
