// Package hook calls other programs over HTTP: it tells them what happens, and asks them who may
// publish and who may play.
//
// What is told waits in a queue of its own for each hook and is sent again until the hook has it,
// so that nothing waits for a hook but who asks it.
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

// Hook is where events go.
type Hook struct {
	URL    string // a secret: it may hold one
	Secret string // of the signature; empty: none is made
	Events []Type // empty: all
	// Match is a pattern of streams as path.Match has them. What is told of renditions is for
	// patterns with a ~ alone; questions about a rendition are also its stream's.
	Match    string
	Timeout  time.Duration // of one call; of a question with all its retries
	Deny     bool          // a question that gets no answer is refused
	Insecure bool          // any certificate will do
	Cache    time.Duration // how long the answer about a viewer's token and address counts; 0: once
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

// Options are what Hooks need.
type Options struct {
	Log *slog.Logger
	// Count is told what became of an event at one hook; nil: nobody is.
	Count func(Type, Outcome)
	// Dial connects; nil: as the system does.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Hooks are those that are configured.
type Hooks struct {
	o  Options
	mu sync.Mutex // guards what follows
	// targets is replaced, never changed.
	targets []*target
	removed sync.WaitGroup // targets that are ending
	closed  bool
}

// New returns Hooks without any. They have to be closed.
func New(o Options) *Hooks {
	if o.Count == nil {
		o.Count = func(Type, Outcome) {}
	}
	return &Hooks{o: o}
}

// Reload puts other hooks in force. One whose address was there before goes on with what waits
// for it; what waits for one that is not any more is dropped.
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

// Tell has an event sent to who wants it. It does not wait.
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

// Asks tells whether Ask would ask anybody.
func (h *Hooks) Asks(e Event) bool { return len(h.targetsFor(e)) > 0 }

// Ask asks all who want to be asked, one after the other, until one refuses. Its error is an
// *ingest.Refusal, or ctx's. secret is what the peer has shown: it is sent to nobody, and tells
// apart those whose answer counts for a while.
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

// Close sends what waits, each event once, until a hook fails or ctx is done, and drops the rest.
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
