package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// RouteGroup is a configured group of routes and the streams that it carries.
type RouteGroup struct {
	Name      string        `json:"name"`
	Direction string        `json:"direction"` // push or pull
	Match     string        `json:"match"`
	OnDemand  bool          `json:"on_demand,omitempty"`
	Routes    []string      `json:"routes"`
	Streams   []RouteStream `json:"streams"`
}

// RouteStream is one stream in one group of routes.
type RouteStream struct {
	Stream    string     `json:"stream"`
	Active    string     `json:"active"`           // the route that carries it; empty if none
	Forced    string     `json:"forced,omitempty"` // the route that the operator has chosen
	Switches  int        `json:"switches"`
	Ladder    *Ladder    `json:"ladder,omitempty"` // for pushes
	Routes    []Route    `json:"routes"`
	Decisions []Decision `json:"decisions"` // newest first
}

// Ladder says how much of a stream a push sends.
type Ladder struct {
	Rung      string   `json:"rung"`
	Level     int      `json:"level"` // 0 is the whole stream; higher levels send less
	Rendition string   `json:"rendition,omitempty"`
	Share     float64  `json:"gop_share,omitempty"` // share of each GOP, for the rung trim
	Forced    string   `json:"forced,omitempty"`    // the rung that the operator has chosen
	Cause     string   `json:"cause,omitempty"`     // of the last change
	Reason    string   `json:"reason,omitempty"`
	Lag       float64  `json:"lag_seconds"`
	Delivered float64  `json:"delivered"`          // bit/s, over the last second
	Capacity  float64  `json:"capacity,omitempty"` // bit/s, measured capacity of the connection
	Stream    float64  `json:"stream"`             // bit/s of the complete stream
	Rungs     []string `json:"rungs"`              // as configured
}

// Route is one route of a group for one stream.
type Route struct {
	Name        string     `json:"name"`
	Target      string     `json:"target"` // without secrets
	Host        string     `json:"host"`   // of its breaker
	State       string     `json:"state"`
	Since       *time.Time `json:"since,omitempty"` // of the state
	Fails       int        `json:"fails"`           // consecutive
	Backoff     float64    `json:"backoff_seconds"`
	Waiting     bool       `json:"waiting,omitempty"` // for the host's breaker
	Denied      bool       `json:"denied,omitempty"`  // the peer rejects it; dialed rarely
	GaveUp      bool       `json:"gave_up,omitempty"` // not dialed until it is reset
	Healthy     *time.Time `json:"healthy_since,omitempty"`
	Rise        float64    `json:"rise_seconds"` // how long it must be healthy to carry the stream again
	RTT         float64    `json:"rtt_seconds"`
	LastFailure string     `json:"last_failure,omitempty"`
	LastFailed  *time.Time `json:"last_failed,omitempty"`
	Score       Score      `json:"score"`
	History     any        `json:"history"` // measurements of its connections
}

// Score is the score of a route's history.
type Score struct {
	Value float64 `json:"value"` // 0 to 1; 1 is best
	Parts []Part  `json:"parts"`
}

// Part is one factor of a score, which is the product of its parts.
type Part struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Why   string  `json:"why"`
}

// Decision is a decision of the routing policy.
type Decision struct {
	At    time.Time `json:"at"`
	Route string    `json:"route,omitempty"`
	From  string    `json:"from,omitempty"` // for a switch
	Cause string    `json:"cause"`
	Text  string    `json:"text"`
}

// Breaker is the circuit breaker that all routes to one host share.
type Breaker struct {
	Host     string  `json:"host"`
	State    string  `json:"state"`    // closed, open or half_open
	Failures int     `json:"failures"` // consecutive
	InFlight int     `json:"in_flight"`
	Dials    int     `json:"dials"`   // maximum number of dials in flight
	Waiting  int     `json:"waiting"` // waiting dials
	Next     float64 `json:"next_seconds"`
}

// Line is one stream in one group of routes, in short form.
type Line struct {
	Stream, Group string
	Down          bool    // no route carries the stream, although one should
	Push          bool    // it is a push, which has a lag
	Lag           float64 // seconds that the destination is behind
}

// RouteAct is an action of an operator.
type RouteAct string

// Actions of an operator. The comments describe the value in the request.
const (
	ForceRoute   RouteAct = "force" // route to use; "" leaves the choice to the policy
	ForceRung    RouteAct = "rung"  // rung of a push; "" leaves the choice to the policy
	ResetRoute   RouteAct = "reset" // route whose failures are forgotten
	ResetBreaker RouteAct = "breaker"
)

// Routes is the part of the relay's routes that the API uses.
type Routes interface {
	// Routes returns all groups, with all streams or only the named one, and all breakers.
	Routes(stream string) ([]RouteGroup, []Breaker)
	// Lines returns all streams of all groups, in short form.
	Lines() []Line
	// Act performs an action of an operator. An *ActError means that the operator named something that
	// does not exist.
	Act(act RouteAct, group, stream, value string) error
}

// ActError reports a name that does not exist. The hint lists the existing ones.
type ActError struct{ Reason, Hint string }

func (e *ActError) Error() string { return e.Reason }

// routes adds the endpoints for routes to mux.
func routes(mux *http.ServeMux, all Routes) {
	mux.HandleFunc("GET /api/v1/routes", func(w http.ResponseWriter, r *http.Request) {
		groups, breakers := all.Routes(r.URL.Query().Get("stream"))
		reply(w, http.StatusOK, map[string]any{"groups": groups, "breakers": breakers})
	})
	mux.HandleFunc("PUT /api/v1/routes/{group}/{app}/{name}/route", act(all, ForceRoute))
	mux.HandleFunc("DELETE /api/v1/routes/{group}/{app}/{name}/route", act(all, ForceRoute))
	mux.HandleFunc("PUT /api/v1/routes/{group}/{app}/{name}/rung", act(all, ForceRung))
	mux.HandleFunc("DELETE /api/v1/routes/{group}/{app}/{name}/rung", act(all, ForceRung))
	mux.HandleFunc("POST /api/v1/routes/{group}/{app}/{name}/reset", act(all, ResetRoute))
	mux.HandleFunc("POST /api/v1/breakers/{host}/reset", func(w http.ResponseWriter, r *http.Request) {
		writeResult(w, all.Act(ResetBreaker, "", "", r.PathValue("host")))
	})
}

// named is the body of a request that names a route or a rung.
type named struct {
	Route *string `json:"route"`
	Rung  *string `json:"rung"`
}

// maxBody is the maximum size of a request's body, in bytes.
const maxBody = 4 << 10

// act performs the action of a request. DELETE undoes what PUT has forced.
func act(all Routes, what RouteAct) http.HandlerFunc {
	key := "route"
	if what == ForceRung {
		key = "rung"
	}
	return func(w http.ResponseWriter, r *http.Request) {
		value := ""
		if r.Method != http.MethodDelete {
			var body named
			err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&body)
			field := body.Route
			if what == ForceRung {
				field = body.Rung
			}
			if err != nil || field == nil || *field == "" {
				Problem(w, http.StatusBadRequest, "the body does not name a "+key, `send {"`+key+`": "NAME"}`)
				return
			}
			value = *field
		}
		writeResult(w, all.Act(what, r.PathValue("group"), r.PathValue("app")+"/"+r.PathValue("name"), value))
	}
}

func writeResult(w http.ResponseWriter, err error) {
	var wrong *ActError
	switch {
	case errors.As(err, &wrong):
		Problem(w, http.StatusNotFound, wrong.Reason, wrong.Hint)
	case err != nil:
		Problem(w, http.StatusInternalServerError, "the action failed", "see the log of the relay")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
