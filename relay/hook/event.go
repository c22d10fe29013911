package hook

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Type is what a hook can be called for. The values are the configuration's and the payload's.
type Type string

// The types of events. Publish and Play are questions, which a hook may answer with a refusal;
// the others are told.
const (
	Publish     Type = "on_publish"
	Play        Type = "on_play"
	Unpublish   Type = "on_unpublish"    // a push ended as it should
	Break       Type = "on_break"        // a push ended in another way, or is silent
	Resume      Type = "on_resume"       // the stream goes on
	Backup      Type = "on_backup"       // the backup takes over from the primary, or the other way
	RouteSwitch Type = "on_route_switch" // a stream goes over another route
)

// Types lists all of them.
func Types() []Type { return []Type{Publish, Play, Unpublish, Break, Resume, Backup, RouteSwitch} }

// Outcome is what became of an event at one hook. The values are label values of
// holdfast_hook_events_total.
type Outcome string

// The outcomes of an event.
const (
	Delivered Outcome = "delivered" // and, of a question, allowed
	Refused   Outcome = "refused"   // a question
	Failed    Outcome = "failed"    // no answer that means anything, also not to a retry
	Dropped   Outcome = "dropped"   // given up for a newer one, or at the end
)

// Outcomes lists all of them.
func Outcomes() []Outcome { return []Outcome{Delivered, Refused, Failed, Dropped} }

// Event is what a hook is called with, as JSON. Nothing in it is secret.
type Event struct {
	// ID is the event's own: the same when it is sent again.
	ID       string    `json:"id"`
	Type     Type      `json:"event"`
	Time     time.Time `json:"time"`
	Stream   string    `json:"stream"`
	Session  string    `json:"session,omitempty"` // of the publisher
	Role     string    `json:"role,omitempty"`    // of the publisher: primary or backup
	Standby  bool      `json:"standby,omitempty"` // of Break and Unpublish: it was held warm, and fed nothing
	After    string    `json:"after,omitempty"`   // of Backup: the session that fed the stream before
	Protocol string    `json:"protocol,omitempty"`
	Remote   string    `json:"remote,omitempty"`
	Agent    string    `json:"agent,omitempty"`
	Cause    string    `json:"cause,omitempty"`
	Detail   string    `json:"detail,omitempty"`
	Outage   float64   `json:"outage_seconds,omitempty"` // of Resume
	Group    string    `json:"group,omitempty"`          // and what follows: of RouteSwitch
	Route    string    `json:"route,omitempty"`
	From     string    `json:"from,omitempty"`
}

// message is an event as it is sent.
type message struct {
	id   string
	kind Type
	at   time.Time
	body []byte
}

// message gives an event its name.
func (e Event) message(now time.Time) (message, error) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	e.ID = hex.EncodeToString(b[:])
	if e.Time.IsZero() {
		e.Time = now
	}
	body, err := json.Marshal(e)
	return message{id: e.ID, kind: e.Type, at: now, body: body}, err
}
