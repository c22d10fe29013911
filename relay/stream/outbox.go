package stream

import (
	"sync"
	"sync/atomic"
)

// outbox keeps what a stream tells others in order on its way out of the stream's lock: events, log
// lines, and calls of sessions. It is filled with that lock held, and flushed without it.
type outbox struct {
	mu     sync.Mutex // guards queue, and changes of queued
	queue  []func()
	queued atomic.Bool   // queue is not empty
	sender chan struct{} // of one: held while sending
}

func newOutbox() *outbox { return &outbox{sender: make(chan struct{}, 1)} }

// add queues a call.
func (o *outbox) add(call func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = append(o.queue, call)
	o.queued.Store(true)
}

// flush makes the queued calls. A goroutine that finds another one sending leaves its calls to it:
// the sender looks once more after it has let go.
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
