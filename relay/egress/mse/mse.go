// Package mse sends streams as fragmented MP4 over WebSocket, for players that use Media Source.
//
// All viewers share the chunks of package cmaf. A client acknowledges the chunks that it has
// received. A new connection can continue after the last of them.
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

// Protocol is the name of the protocol in metrics.
const Protocol = "mse"

// Settings are the settings for the viewers of a stream.
type Settings struct {
	WriteTimeout time.Duration // of one message; 0 means none
	// Lag is how long a chunk may stay unacknowledged by a client that acknowledges chunks, and how
	// long sending waits for an acknowledgement. 0 means 5 s.
	Lag time.Duration
	// Heartbeat is a fixed interval between pings; 0 adapts the interval to the connection.
	Heartbeat time.Duration
}

// Refusal is the rejection of a viewer, given by a close code and reason of the WebSocket.
type Refusal struct {
	Code   Code
	Reason string // for codes 4001 and 1013 the seconds to wait
}

// Options configure a Handler.
type Options struct {
	Admission egress.Admission // subscriptions are not read
	HTTP      egress.HTTP
	Metrics   egress.Metrics
	Feeds     *cmaf.Feeds
	Settings  func(stream string) Settings
	// Refuse returns the close code and reason for a refusal of Admission or Feeds.
	Refuse func(error) Refusal
	// State returns the state of a stream, which is sent as JSON, and a channel that is closed when
	// the state changes. The message is nil if the state is unknown. State may be nil.
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

// New returns a handler. Close must be called to end its viewers.
func New(o Options) *Handler {
	return &Handler{opts: o, viewers: egress.NewRegister(), sent: o.Metrics.SentBytes(Protocol)}
}

// Close tells all viewers to reconnect at once, and waits for them. It takes about a second if a
// viewer does not read.
func (h *Handler) Close() { h.viewers.Close() }

// Match reports whether a path is that of a stream, and returns its components.
func Match(path string) (app, name string, ok bool) {
	app, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	name, file, _ := strings.Cut(rest, "/")
	return app, name, app != "" && name != "" && file == "mse"
}

// ServeHTTP implements http.Handler for the paths that Match accepts.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Cache-Control", "no-store")
		h.opts.HTTP.Problem(w, http.StatusUpgradeRequired, "this URL is a WebSocket endpoint",
			"open it with the scheme ws or wss over HTTP/1.1; configure a proxy to forward Upgrade and Connection", "")
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
		h.opts.Log.Debug("WebSocket handshake failed", "protocol", Protocol, "remote", h.opts.HTTP.Remote(r), "err", err)
		return
	}
	v.serve(r.Context())
}
