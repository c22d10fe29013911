// Package mse sends streams as fragmented MP4 over WebSocket, for players with Media Source.
//
// The chunks are those of package cmaf, which all viewers share. A client acknowledges what it
// has; a new socket goes on behind that.
package mse

import (
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
	Admission egress.Admission // subscriptions are not read
	HTTP      egress.HTTP
	Metrics   egress.Metrics
	Feeds     *cmaf.Feeds
	Settings  func(stream string) Settings
	// Refuse returns how a refusal of Admission or Feeds closes the WebSocket.
	Refuse func(error) Refusal
	// State tells how a stream is, as it is said in JSON, and has a channel that is closed when
	// that changes; nil where nothing is known. It may be nil.
	State   func(stream string) (message any, changed <-chan struct{})
	Skipped *atomic.Uint64
	Log     *slog.Logger
}

// Handler serves /{app}/{name}/mse.
type Handler struct {
	opts    Options
	viewers *egress.Register
	sent    *atomic.Uint64 // bytes
}

// New returns a handler. Close ends its viewers.
func New(o Options) *Handler {
	return &Handler{opts: o, viewers: egress.NewRegister(), sent: o.Metrics.SentBytes(Protocol)}
}

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
		h.opts.HTTP.Problem(w, http.StatusUpgradeRequired, "this is a WebSocket's address",
			"open it with the scheme ws or wss over HTTP/1.1; behind a proxy, have it pass Upgrade and Connection on", "")
		return
	}
	if !h.viewers.Enter() {
		w.Header().Set("Retry-After", "1")
		h.opts.HTTP.Problem(w, http.StatusServiceUnavailable, "the relay is shutting down", "try again in a moment", "")
		return
	}
	defer h.viewers.Leave()
	v, err := h.accept(w, r)
	if err != nil {
		h.opts.Log.Debug("not a WebSocket", "protocol", Protocol, "remote", h.opts.HTTP.Remote(r), "err", err)
		return
	}
	v.serve(r.Context())
}
