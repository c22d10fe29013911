// Package mse sends streams as fragmented MP4 over WebSocket, for players with Media Source.
//
// The chunks are those of package cmaf, which all viewers share. A client acknowledges what it
// has; a new socket goes on behind that.
package mse

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
)

// Protocol is its name in metrics.
const Protocol = "mse"

// Expired is the outcome of a wish to resume with a token that was good once.
const Expired = "expired"

// Pass is what a viewer is let in with.
type Pass struct {
	Token string // to come back with; a secret
	// Good tells that the token of Request.Resume is this instance's, and for the very stream
	// that the place is on.
	Good bool
	// Expired tells that it was good once.
	Expired bool
}

// Streams gives viewers their place. A refusal is an *ingest.Refusal, wherever it comes from.
type Streams interface {
	// Enter admits and counts a viewer. Nothing is read of the place.
	Enter(ctx context.Context, r egress.Request) (egress.Place, Pass, error)
}

// Settings are those of a stream's viewers.
type Settings struct {
	WriteTimeout time.Duration // of one message; 0: none
	// Lag is how long a client that acknowledges may have something unacknowledged, and how
	// long one is waited for; 0: 5 s.
	Lag time.Duration
	// Heartbeat is the time between two pings, where it is fixed; 0: by the line.
	Heartbeat time.Duration
}

// Refusal is how a viewer is turned away by WebSocket.
type Refusal struct {
	Code   Code
	Reason string // of 4001 and 1013 the seconds to wait
}

// Options are what the handler needs.
type Options struct {
	Streams  Streams
	Feeds    *cmaf.Feeds
	Settings func(stream string) Settings
	// Refuse says how a refusal of Streams or Feeds is put; Problem answers in HTTP.
	Refuse  func(error) Refusal
	Problem func(w http.ResponseWriter, status int, reason, hint string)
	// Remote is the viewer's address, from behind proxies that are trusted.
	Remote func(*http.Request) string
	// State tells how a stream is, as it is said in JSON, and has a channel that is closed when
	// that changes; nil where nothing is known. It may be nil.
	State   func(stream string) (message any, changed <-chan struct{})
	Bytes   *atomic.Uint64
	Skipped *atomic.Uint64
	Joined  func(took time.Duration) // told at the first media of each viewer
	Resumed func(outcome string)     // told of each wish to resume: exact, keyframe or Expired
	Log     *slog.Logger
}

// Handler serves /{app}/{name}/mse.
type Handler struct {
	opts    Options
	viewers *egress.Register
}

// New returns a handler. Close ends its viewers.
func New(o Options) *Handler { return &Handler{opts: o, viewers: egress.NewRegister()} }

// Close tells all viewers to come back at once, and waits for them: about a second where one
// does not read.
func (h *Handler) Close() { h.viewers.Close() }

// Match tells whether a path is a stream's, and which.
func Match(path string) (app, name string, ok bool) {
	app, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	name, file, _ := strings.Cut(rest, "/")
	return app, name, app != "" && name != "" && file == "mse"
}

// ServeHTTP implements http.Handler for the paths that Match.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Cache-Control", "no-store")
		h.opts.Problem(w, http.StatusUpgradeRequired, "this is a WebSocket's address",
			"open it with the scheme ws or wss over HTTP/1.1; behind a proxy, have it pass Upgrade and Connection on")
		return
	}
	if !h.viewers.Enter() {
		w.Header().Set("Retry-After", "1")
		h.opts.Problem(w, http.StatusServiceUnavailable, "the relay is shutting down", "try again in a moment")
		return
	}
	defer h.viewers.Leave()
	v, err := h.accept(w, r)
	if err != nil {
		h.opts.Log.Debug("not a WebSocket", "protocol", Protocol, "remote", h.opts.Remote(r), "err", err)
		return
	}
	v.serve(r.Context())
}
