package status

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/sse"
)

// Options configure a Handler.
type Options struct {
	Board *Board
	// Admit admits a viewer. It returns the name of the stream, and when the viewer's play token
	// expires; the zero Time means never.
	Admit  func(r *http.Request, app, name string) (stream string, until time.Time, err error)
	Refuse func(w http.ResponseWriter, r *http.Request, err error)
	// Absent returns the refusal of a viewer of a stream that does not exist.
	Absent func(stream string) error
}

// Handler serves /{app}/{name}/state, as JSON or, if the client accepts them, as server-sent
// events.
type Handler struct {
	opts    Options
	clients *egress.Register // clients that receive events
}

// New returns a handler. Close must be called to end its responses.
func New(o Options) *Handler { return &Handler{opts: o, clients: egress.NewRegister()} }

// Close ends all responses and waits for them.
func (h *Handler) Close() { h.clients.Close() }

// Match reports whether a path is that of a stream's state, and returns its components.
func Match(path string) (app, name string, ok bool) {
	app, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	name, file, _ := strings.Cut(rest, "/")
	return app, name, app != "" && name != "" && file == "state"
}

// ServeHTTP implements http.Handler for the paths that Match accepts.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	app, name, _ := Match(r.URL.Path)
	stream, until, err := h.opts.Admit(r, app, name)
	if err != nil {
		h.opts.Refuse(w, r, err)
		return
	}
	watcher := h.opts.Board.Watch(stream)
	if watcher == nil {
		h.opts.Refuse(w, r, h.opts.Absent(stream))
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodHead && strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		if !h.clients.Enter() {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		defer h.clients.Leave()
		h.follow(w, r, watcher, until)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	status, _ := watcher.Status(time.Now())
	_ = json.NewEncoder(w).Encode(status) // fails if the client has gone
}

// follow writes each change of the stream's state until the stream ends, the client disconnects,
// or the play token expires.
func (h *Handler) follow(w http.ResponseWriter, r *http.Request, watcher *Watcher, until time.Time) {
	ctx := r.Context()
	if !until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	out := sse.NewWriter(w)
	idle := time.NewTicker(sse.Idle)
	defer idle.Stop()
	report, changed := watcher.Status(time.Now())
	writeReport(out, report)
	for out.Flush() == nil && report.State != Ended {
		select {
		case <-changed:
			report, changed = watcher.Status(time.Now())
			writeReport(out, report)
		case <-idle.C:
			out.Comment("still here")
		case <-ctx.Done():
			return
		case <-h.clients.Context().Done():
			return
		}
	}
}

func writeReport(out *sse.Writer, r Report) {
	data, _ := json.Marshal(r) // cannot fail for strings and times of this century
	out.Event("", "", string(data))
}
