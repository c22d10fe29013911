// Package hook calls other programs over HTTP. It notifies them of events, and asks them who may
// publish and who may play.
//
// Notifications wait in a queue per hook and are retried until the hook accepts them, so that
// only those who ask a question wait for a hook.
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

// Hook is a configured receiver of events.
type Hook struct {
	URL    string // a secret, because it may contain one
	Secret string // of the signature; if empty, calls are not signed
	Events []Type // if empty, all types
	// Match is a pattern of stream names as in path.Match. Notifications about renditions are
	// sent only for patterns with a ~. A question about a rendition is also sent if its parent
	// matches.
	Match    string
	Timeout  time.Duration // of one call; for a question including retries
	Deny     bool          // refuse a question without an answer
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

// Options configure Hooks.
type Options struct {
	Log *slog.Logger
	// Count counts the outcome of an event at one hook; may be nil.
	Count func(Type, Outcome)
	// Dial connects; nil means the default dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Hooks are the configured hooks.
type Hooks struct {
	o  Options
	mu sync.Mutex // guards the fields below
	// targets is replaced, never modified.
	targets []*target
	removed sync.WaitGroup // removed targets that are stopping
	closed  bool
}

// New returns empty Hooks. Close must be called to stop them.
func New(o Options) *Hooks {
	if o.Count == nil {
		o.Count = func(Type, Outcome) {}
	}
	return &Hooks{o: o}
}

// Reload replaces the hooks. A hook whose URL is unchanged keeps its queue; the queues of
// removed hooks are dropped.
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

// Ask asks all hooks that want the event, one after another, until one refuses. Its error is an
// *ingest.Refusal, or that of ctx. secret is the peer's credential. It is not sent; it
// identifies the peer in the cache.
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

// Close sends the queued events, each once, until a hook fails or ctx is done, and drops the
// rest.
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
