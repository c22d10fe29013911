package hook

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

const address = "http://hook.example/events/t0ken?key=hush"

// call is a call that a receiver got.
type call struct {
	at     time.Time
	header http.Header
	body   []byte
	event  Event
}

// world is a network with a receiver, whose handler the test sets, and hooks.
type world struct {
	t       *testing.T
	network *faultnet.Network
	hooks   *Hooks
	log     strings.Builder
	server  *http.Server

	mu     sync.Mutex // guards the fields below
	answer func(w http.ResponseWriter, r *http.Request)
	calls  []call
	counts map[Outcome]int
}

func newWorld(t *testing.T, hooks ...Hook) *world {
	w := &world{t: t, network: faultnet.NewNetwork(nil), counts: map[Outcome]int{}}
	w.hooks = New(Options{
		Log: slog.New(slog.NewTextHandler(&w.log, nil)), Dial: w.network.DialContext,
		Count: func(_ Type, o Outcome) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.counts[o]++
		},
	})
	w.hooks.Reload(hooks)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		w.hooks.Close(ctx)
		w.down()
	})
	return w
}

// up starts the receiver.
func (w *world) up() {
	l, err := w.network.Listen("hook.example:80")
	if err != nil {
		w.t.Fatal(err)
	}
	w.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c := call{at: time.Now(), header: r.Header}
		c.body, _ = io.ReadAll(r.Body)
		if err := json.Unmarshal(c.body, &c.event); err != nil {
			w.t.Error(err)
		}
		w.mu.Lock()
		w.calls = append(w.calls, c)
		answer := w.answer
		w.mu.Unlock()
		if answer != nil {
			answer(rw, r)
		}
	})}
	server := w.server
	go func() { _ = server.Serve(l) }()
}

func (w *world) down() {
	if w.server != nil {
		_ = w.server.Close()
	}
}

// answers sets the receiver's response.
func (w *world) answers(status int, body string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Location", "http://hook.example/elsewhere")
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, body)
	}
}

// hangs stops the receiver from responding until the client disconnects.
func (w *world) hangs() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
}

func (w *world) got() []call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]call(nil), w.calls...)
}

func (w *world) count(o Outcome) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[o]
}

func usual() Hook { return Hook{URL: address, Match: "*/*", Timeout: 2 * time.Second} }
