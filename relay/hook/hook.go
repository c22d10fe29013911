// Package hook calls external programs over HTTP. It notifies them of events, and asks them for permission
// to publish and to play.
//
// Notifications wait in one queue per hook and are retried until the hook accepts them. Only a
// caller of Ask waits for a hook.
package hook

import (
	"context"
	"log/slog"
	"net"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Hook is the configuration of a receiver of events.
type Hook struct {
	URL    string // a secret, because it may contain a token
	Secret string // key of the signature; empty: calls are not signed
	Events []Type // empty: all types
	// Match is a pattern for stream names, as in path.Match. Notifications about a rendition are sent
	// only if the pattern contains a ~. A question about a rendition is also sent if the parent's name
	// matches.
	Match    string
	Timeout  time.Duration // timeout of one call; for a question, including retries
	Deny     bool          // refuse if a question is not answered
	Insecure bool          // do not verify certificates
	Cache    time.Duration // how long an answer about a viewer's token and address is cached; 0 disables the cache
}

func (h *Hook) wants(e Event) bool {
	if len(h.Events) > 0 && !slices.Contains(h.Events, e.Type) {
		return false
	}
	parent, _, rendition := strings.Cut(e.Stream, "~")
	asks := e.Type == Publish || e.Type == Play
	if rendition && !asks && !strings.Contains(h.Match, "~") {
		return false
	}
	if ok, err := path.Match(h.Match, e.Stream); ok && err == nil {
		return true
	}
	ok, err := path.Match(h.Match, parent)
	return rendition && asks && ok && err == nil
}

// Options configures Hooks.
type Options struct {
	Log *slog.Logger
	// Count counts the outcome of an event at one hook. It may be nil.
	Count func(Type, Outcome)
	// Dial opens connections; nil means the default dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Hooks manages the configured hooks.
type Hooks struct {
	o  Options
	mu sync.Mutex // guards the fields below
	// targets is replaced as a whole and never modified.
	targets []*target
	removed sync.WaitGroup // removed targets that are stopping
	closed  bool
}

// New returns Hooks without any hook. Close must be called to stop it.
func New(o Options) *Hooks {
	if o.Count == nil {
		o.Count = func(Type, Outcome) {}
	}
	return &Hooks{o: o}
}

// Reload replaces the hooks. A hook with an unchanged URL keeps its queue; the queues of removed
// hooks are dropped.
func (h *Hooks) Reload(hooks []Hook) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	left := slices.Clone(h.targets)
	h.targets = nil
	for i := range hooks {
		next := &hooks[i]
		at := slices.IndexFunc(left, func(t *target) bool {
			was := t.hook.Load()
			return was.URL == next.URL && was.Insecure == next.Insecure
		})
		if at >= 0 {
			left[at].configure(next)
			h.targets = append(h.targets, left[at])
			left = slices.Delete(left, at, at+1)
			continue
		}
		h.targets = append(h.targets, newTarget(next, h.o))
	}
	for _, t := range left {
		t.abort()
		h.removed.Go(t.wait)
	}
}

func (h *Hooks) targetsFor(e Event) (out []*target) {
	h.mu.Lock()
	all := h.targets
	h.mu.Unlock()
	for _, t := range all {
		if t.hook.Load().wants(e) {
			out = append(out, t)
		}
	}
	return out
}

// Tell sends an event to the hooks that want it. It does not block.
func (h *Hooks) Tell(e Event) {
	targets := h.targetsFor(e)
	if len(targets) == 0 {
		return
	}
	m, err := e.message(time.Now())
	if err != nil {
		h.o.Log.Error("event not sent to hooks", "event", e.Type, "err", err)
		return
	}
	for _, t := range targets {
		t.enqueue(m)
	}
}

// Asks reports whether Ask would call any hook.
func (h *Hooks) Asks(e Event) bool { return len(h.targetsFor(e)) > 0 }

// Ask asks all hooks that want the event, one after another, until one refuses. The error is an
// *ingest.Refusal, or that of ctx. secret is the peer's credential. It identifies the peer in the
// cache, and is not sent.
func (h *Hooks) Ask(ctx context.Context, e Event, secret string) error {
	targets := h.targetsFor(e)
	if len(targets) == 0 {
		return nil
	}
	m, err := e.message(time.Now())
	if err != nil {
		return err
	}
	for _, t := range targets {
		if err := t.ask(ctx, m, keyOf(e, secret)); err != nil {
			return err
		}
	}
	return nil
}

// Close sends the queued events and stops the hooks. Each event is sent once. When a hook fails or
// ctx is done, the remaining events are dropped.
func (h *Hooks) Close(ctx context.Context) {
	h.mu.Lock()
	h.closed = true
	all := h.targets
	h.mu.Unlock()
	for _, t := range all {
		t.finish()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, t := range all {
			t.wait()
		}
		h.removed.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	for _, t := range all {
		t.abort()
	}
	<-done
}
