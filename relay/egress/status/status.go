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

// Options are what the handler needs.
type Options struct {
	Board *Board
	// Admit admits a viewer and returns the name of the stream. until is when its play token expires; the
	// zero Time is never.
	Admit  func(r *http.Request, app, name string) (stream string, until time.Time, err error)
	Refuse func(w http.ResponseWriter, r *http.Request, err error)
	// Absent returns the refusal of a stream that does not exist.
	Absent func(stream string) error
}

// Handler serves /{app}/{name}/state: as JSON, or as server-sent events where the client accepts them.
type Handler struct {
	opts    Options
	clients *egress.Register // of events
}

// New returns a handler. Close ends its answers.
func New(o Options) *Handler { return &Handler{opts: o, clients: egress.NewRegister()} }

// Close ends all answers and waits for them.
func (h *Handler) Close() { h.clients.Close() }

// Match reports whether a path is that of a stream's state, and of which stream.
func Match(path string) (app, name string, ok bool) {
	app, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	name, file, _ := strings.Cut(rest, "/")
	return app, name, app != "" && name != "" && file == "state"
}

// ServeHTTP implements http.Handler for the paths that Match.
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
	_ = json.NewEncoder(w).Encode(status) // the viewer has gone
}

// follow writes each change of a stream's state until the stream ends, the viewer leaves, or its play token
// expires.
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
	data, _ := json.Marshal(r) // it has only texts and times of this century, and never fails
	out.Event("", "", string(data))
}
