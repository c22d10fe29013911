package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// RouteGroup is a configured group of routes, and the streams that it carries.
type RouteGroup struct {
	Name      string        `json:"name"`
	Direction string        `json:"direction"` // push or pull
	Match     string        `json:"match"`
	OnDemand  bool          `json:"on_demand,omitempty"`
	Routes    []string      `json:"routes"`
	Streams   []RouteStream `json:"streams"`
}

// RouteStream is one stream over one group of routes.
type RouteStream struct {
	Stream    string     `json:"stream"`
	Active    string     `json:"active"`           // the route that carries it; empty: none
	Forced    string     `json:"forced,omitempty"` // the route that the operator chose
	Switches  int        `json:"switches"`
	Ladder    *Ladder    `json:"ladder,omitempty"` // of a push
	Routes    []Route    `json:"routes"`
	Decisions []Decision `json:"decisions"` // the newest first
}

// Ladder is how much of a stream a push sends.
type Ladder struct {
	Rung      string   `json:"rung"`
	Level     int      `json:"level"` // counted down from 0, all of it
	Rendition string   `json:"rendition,omitempty"`
	Share     float64  `json:"gop_share,omitempty"` // of each GOP, at the rung trim
	Forced    string   `json:"forced,omitempty"`    // the rung that the operator chose
	Cause     string   `json:"cause,omitempty"`     // of the last change
	Reason    string   `json:"reason,omitempty"`
	Lag       float64  `json:"lag_seconds"`
	Delivered float64  `json:"delivered"`          // bit/s, over the last second
	Capacity  float64  `json:"capacity,omitempty"` // bit/s that the line was measured to carry
	Stream    float64  `json:"stream"`             // bit/s of the whole stream
	Rungs     []string `json:"rungs"`              // as configured
}

// Route is one route of a group, for one stream.
type Route struct {
	Name        string     `json:"name"`
	Target      string     `json:"target"` // without secrets
	Host        string     `json:"host"`   // of its breaker
	State       string     `json:"state"`
	Since       *time.Time `json:"since,omitempty"` // of the state
	Fails       int        `json:"fails"`           // in a row
	Backoff     float64    `json:"backoff_seconds"`
	Waiting     bool       `json:"waiting,omitempty"` // for its turn with the host
	Denied      bool       `json:"denied,omitempty"`  // the far side will not have it; dialled seldom
	GaveUp      bool       `json:"gave_up,omitempty"` // dialled no more until it is reset
	Healthy     *time.Time `json:"healthy_since,omitempty"`
	Rise        float64    `json:"rise_seconds"` // the health that it needs to get the stream back
	RTT         float64    `json:"rtt_seconds"`
	LastFailure string     `json:"last_failure,omitempty"`
	LastFailed  *time.Time `json:"last_failed,omitempty"`
	Score       Score      `json:"score"`
	History     any        `json:"history"` // what was measured over its connections
}

// Score is what a route's history is worth.
type Score struct {
	Value float64 `json:"value"` // 0 to 1, the best
	Parts []Part  `json:"parts"`
}

// Part is one reason of a score, which is their product.
type Part struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Why   string  `json:"why"`
}

// Decision is one that policy made.
type Decision struct {
	At    time.Time `json:"at"`
	Route string    `json:"route,omitempty"`
	From  string    `json:"from,omitempty"` // of a switch
	Cause string    `json:"cause"`
	Text  string    `json:"text"`
}

// Breaker is what the routes to one host share.
type Breaker struct {
	Host     string  `json:"host"`
	State    string  `json:"state"`    // closed, open or half_open
	Failures int     `json:"failures"` // in a row
	InFlight int     `json:"in_flight"`
	Dials    int     `json:"dials"`   // that may be in flight
	Waiting  int     `json:"waiting"` // for their turn
	Next     float64 `json:"next_seconds"`
}

// Line is one stream over one group of routes, in short.
type Line struct {
	Stream, Group string
	Down          bool    // no route carries it, and one should
	Push          bool    // it has a lag
	Lag           float64 // seconds that the far side is behind
}

// RouteAct is what an operator may do.
type RouteAct string

// What an operator may do. The value of each is what its request names.
const (
	ForceRoute   RouteAct = "force" // have a stream go over a route; "": let policy decide
	ForceRung    RouteAct = "rung"  // keep a push at a rung; "": let policy decide
	ResetRoute   RouteAct = "reset" // forget a route's failures
	ResetBreaker RouteAct = "breaker"
)

// Routes is what the API asks the routes for.
type Routes interface {
	// Routes are all groups, with all streams or that of this name alone, and all breakers.
	Routes(stream string) ([]RouteGroup, []Breaker)
	// Lines are all streams over their groups, in short.
	Lines() []Line
	// Act does what an operator asked for. An error that is an *ActError is the operator's.
	Act(act RouteAct, group, stream, value string) error
}

// ActError says that there is nothing of that name, and what there is.
type ActError struct{ Reason, Hint string }

func (e *ActError) Error() string { return e.Reason }

// routes adds what concerns routes to the handler.
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
		done(w, all.Act(ResetBreaker, "", "", r.PathValue("host")))
	})
}

// named is the body of a request that names something.
type named struct {
	Route *string `json:"route"`
	Rung  *string `json:"rung"`
}

// mostNamed bounds the body of such a request, in bytes.
const mostNamed = 4 << 10

// act does what a request asks for. DELETE takes back what PUT has forced.
func act(all Routes, what RouteAct) http.HandlerFunc {
	key := "route"
	if what == ForceRung {
		key = "rung"
	}
	return func(w http.ResponseWriter, r *http.Request) {
		value := ""
		if r.Method != http.MethodDelete {
			var body named
			err := json.NewDecoder(io.LimitReader(r.Body, mostNamed)).Decode(&body)
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
		done(w, all.Act(what, r.PathValue("group"), r.PathValue("app")+"/"+r.PathValue("name"), value))
	}
}

func done(w http.ResponseWriter, err error) {
	var wrong *ActError
	switch {
	case errors.As(err, &wrong):
		Problem(w, http.StatusNotFound, wrong.Reason, wrong.Hint)
	case err != nil:
		Problem(w, http.StatusInternalServerError, "it could not be done", "the log says why")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
