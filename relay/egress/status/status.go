package status

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// comment is how often something is said while nothing happens.
const comment = 15 * time.Second

// Options are what the handler needs.
type Options struct {
	Board *Board
	// Admit lets a viewer know of a stream, of which it returns the name, or not. until is when what
	// the viewer was admitted by expires; the zero Time is never.
	Admit  func(r *http.Request, app, name string) (stream string, until time.Time, err error)
	Refuse func(w http.ResponseWriter, r *http.Request, err error)
	// Absent is the refusal of a stream that is not there.
	Absent func(stream string) error
}

// Handler serves /{app}/{name}/state: as JSON, or as server-sent events to who accepts them.
type Handler struct {
	opts   Options
	ctx    context.Context // ends those who are told of events
	cancel context.CancelFunc

	mu      sync.Mutex // guards closed, and that nobody enters after it
	closed  bool
	telling sync.WaitGroup
}

// New returns a handler.
func New(o Options) *Handler {
	h := &Handler{opts: o}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// Close ends all answers, and waits for them.
func (h *Handler) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	h.telling.Wait()
}

func (h *Handler) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.telling.Add(1)
	return true
}

// Match tells whether a path is that of a stream's state, and of which stream.
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
		if !h.enter() {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		defer h.telling.Done()
		h.follow(w, r, watcher, until)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	status, _ := watcher.Status(time.Now())
	_ = json.NewEncoder(w).Encode(status) // the viewer has gone
}

// follow tells of every change until the stream ends, the viewer goes or may not know any more.
func (h *Handler) follow(w http.ResponseWriter, r *http.Request, watcher *Watcher, until time.Time) {
	ctx := r.Context()
	if !until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // or a proxy would keep what it is told
	idle := time.NewTicker(comment)
	defer idle.Stop()
	status, changed := watcher.Status(time.Now())
	err := say(w, event(status))
	for err == nil && status.State != Ended {
		select {
		case <-changed:
			status, changed = watcher.Status(time.Now())
			err = say(w, event(status))
		case <-idle.C:
			err = say(w, ": still here\n\n")
		case <-ctx.Done():
			return
		case <-h.ctx.Done():
			return
		}
	}
}

func event(s Report) string {
	data, _ := json.Marshal(s) // texts and times in our century: it never fails
	return fmt.Sprintf("data: %s\n\n", data)
}

func say(w http.ResponseWriter, text string) error {
	control := http.NewResponseController(w)
	if err := control.SetWriteDeadline(time.Now().Add(2 * comment)); err != nil {
		return err
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return err
	}
	return control.Flush()
}
