package stream

import (
	"sync"
	"sync/atomic"
)

// outbox queues the calls that a stream makes to others, in order: events, log lines, and calls of
// sessions. Calls are added with the stream's lock held, and made by flush without it.
type outbox struct {
	mu     sync.Mutex // guards queue, and changes of queued
	queue  []func()
	queued atomic.Bool   // queue is not empty
	sender chan struct{} // capacity 1: full while a goroutine is sending
}

func newOutbox() *outbox { return &outbox{sender: make(chan struct{}, 1)} }

// add queues a call.
func (o *outbox) add(call func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, call)
	o.queued.Store(true)
}

// flush makes the queued calls. If another goroutine is already sending, flush leaves the calls to
// it: that goroutine checks the queue again after it has released the sender.
func (o *outbox) flush() {
	for o.queued.Load() {
		select {
		case o.sender <- struct{}{}:
		default:
			return
		}
		o.send()
	}
}

// send makes the queued calls, and releases the sender that flush acquired.
func (o *outbox) send() {
	defer func() { <-o.sender }()
	for _, call := range o.drain() {
		call()
	}
}

// drain empties the queue and returns what was in it.
func (o *outbox) drain() (queue []func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	queue, o.queue = o.queue, nil
	o.queued.Store(false)
	return queue
}
