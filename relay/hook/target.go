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
	// maxQueue is how many events may wait for a hook; of more the oldest is dropped.
	maxQueue = 512
	// maxAge is how long an event is sent again, from when it happened.
	maxAge = 10 * time.Minute
	// maxPending is how many questions of a type are open at one hook at a time; more wait for their
	// turn. Publishers do not wait for viewers, who may be many at once.
	maxPending = 64
)

// target is a hook at work.
type target struct {
	hook   atomic.Pointer[Hook]
	client *http.Client
	o      Options
	log    *slog.Logger
	asking map[Type]chan struct{} // of asked: held by a question
	cache  answerCache

	mu      sync.Mutex // guards what follows
	queue   []message
	dropped int  // events dropped since it answered last
	down    bool // it did not answer when it was called last

	wake    chan struct{} // of one: there is something in the queue
	closing chan struct{} // closed: send what waits, and end
	once    sync.Once
	ctx     context.Context // of all that is sent
	abort   func()
	done    chan struct{}
}

func newTarget(h *Hook, o Options) *target {
	t := &target{
		client: newClient(h, o), o: o, log: o.Log.With("hook", redactURL(h.URL)), asking: map[Type]chan struct{}{Publish: make(chan struct{}, maxPending), Play: make(chan struct{}, maxPending)},
		wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
	}
	t.ctx, t.abort = context.WithCancel(context.Background())
	t.hook.Store(h)
	go t.run()
	return t
}

// redactURL is a URL without what may be secret in it: many have a token in their path.
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

// finish has the target end when it has sent what waits.
func (t *target) finish() { t.once.Do(func() { close(t.closing) }) }

func (t *target) wait() { <-t.done }

// enqueue has m sent. It does not wait.
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

// run sends the queue, in order.
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

// dropQueue gives up what waits.
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

// deliver sends m until the hook has it, or there is no hope.
func (t *target) deliver(m message) bool {
	for n := 0; ; n++ {
		a := t.post(t.ctx, m)
		if a.outcome == Refused { // there is nothing to refuse
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

// pause waits; false if the target is ending.
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

func chance() float64 { return rand.Float64() } //nolint:gosec // it spreads, and keeps nothing secret

// logState logs that a hook stopped to answer, and that it answers again: not each time.
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
