package hook

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/qos/policy"
)

const (
	// maxQueue is the maximum number of queued events per hook; the oldest is dropped first.
	maxQueue = 512
	// maxAge is how long after its occurrence an event is still retried.
	maxAge = 10 * time.Minute
	// maxPending is the maximum number of concurrent questions of one type per hook; further questions
	// wait. The types are counted separately, so that publishers do not wait for many viewers.
	maxPending = 64
)

// target is a running hook.
type target struct {
	hook   atomic.Pointer[Hook]
	client *http.Client
	o      Options
	log    *slog.Logger
	slots  map[Type]chan struct{} // capacity maxPending; each pending question holds a slot
	cache  answerCache

	mu      sync.Mutex // guards the fields below
	queue   []message
	dropped int  // events dropped since the hook last answered
	down    bool // the last call failed

	wake    chan struct{} // capacity 1; filled when the queue has an event
	closing chan struct{} // closed when the target must send its queue and stop
	once    sync.Once
	ctx     context.Context // context of all calls
	abort   func()
	done    chan struct{}
}

func newTarget(h *Hook, o Options) *target {
	t := &target{
		client: newClient(h, o), o: o, log: o.Log.With("hook", redactURL(h.URL)), slots: map[Type]chan struct{}{Publish: make(chan struct{}, maxPending), Play: make(chan struct{}, maxPending)},
		wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
	}
	t.ctx, t.abort = context.WithCancel(context.Background())
	t.hook.Store(h)
	go t.run()
	return t
}

// redactURL returns the scheme and host of a URL; many URLs have a token in their path.
func redactURL(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func (t *target) configure(h *Hook) {
	t.hook.Store(h)
	t.cache.clear()
}

// finish makes the target stop after it has sent its queue.
func (t *target) finish() { t.once.Do(func() { close(t.closing) }) }

func (t *target) wait() { <-t.done }

// enqueue queues m. It does not block.
func (t *target) enqueue(m message) {
	t.mu.Lock()
	var dropped []message
	if n := len(t.queue) + 1 - maxQueue; n > 0 {
		dropped, t.queue = t.queue[:n], t.queue[n:]
		t.dropped += n
	}
	t.queue = append(t.queue, m)
	t.mu.Unlock()
	for _, d := range dropped {
		t.o.Count(d.kind, Dropped)
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *target) dequeue() (m message, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		return message{}, false
	}
	m = t.queue[0]
	t.queue = t.queue[1:]
	return m, true
}

// run sends the queued events in order.
func (t *target) run() {
	defer close(t.done)
	defer t.client.CloseIdleConnections()
	defer t.dropQueue()
	for last := false; !last; {
		select {
		case <-t.wake:
		case <-t.closing:
			last = true
		case <-t.ctx.Done():
			return
		}
		for m, ok := t.dequeue(); ok; m, ok = t.dequeue() {
			if !t.deliver(m) && t.stopping() {
				return
			}
		}
	}
}

// dropQueue drops the queued events.
func (t *target) dropQueue() {
	for m, ok := t.dequeue(); ok; m, ok = t.dequeue() {
		t.o.Count(m.kind, Dropped)
	}
}

func (t *target) stopping() bool {
	select {
	case <-t.closing:
		return true
	case <-t.ctx.Done():
		return true
	default:
		return false
	}
}

// deliver sends m until the hook accepts it or a retry does not help. It reports whether the hook
// accepted m.
func (t *target) deliver(m message) bool {
	for n := 0; ; n++ {
		a := t.post(t.ctx, m)
		if a.outcome == Refused { // a notification cannot be refused
			a.outcome = Failed
		}
		t.logState(a, m.kind)
		if a.outcome == Delivered {
			t.o.Count(m.kind, Delivered)
			return true
		}
		wait := max(policy.DefaultBackoff().Delay(n, chance()), a.retryAfter)
		if !a.retry || t.stopping() || time.Since(m.at) > maxAge || !t.pause(wait) {
			t.o.Count(m.kind, Failed)
			return false
		}
	}
}

// pause waits for duration d. It returns false if the target is stopping.
func (t *target) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.closing:
	case <-t.ctx.Done():
	}
	return false
}

func chance() float64 { return rand.Float64() } //nolint:gosec // jitter, not a secret

// logState logs when a hook stops answering and when it answers again.
func (t *target) logState(a answer, kind Type) {
	down := a.outcome == Failed
	t.mu.Lock()
	was, lost := t.down, t.dropped
	t.down = down
	if !down {
		t.dropped = 0
	}
	t.mu.Unlock()
	switch {
	case down && !was && t.ctx.Err() == nil:
		onError := "allow"
		if t.hook.Load().Deny {
			onError = "deny"
		}
		t.log.Warn("hook does not answer", "event", kind, "err", a.err, "on_error", onError)
	case was && !down:
		t.log.Info("hook answers again", "event", kind, "dropped", lost)
	}
}
