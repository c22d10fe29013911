package egress

import (
	"context"
	"sync"
)

// Register tracks the running viewers of a protocol, in order to stop all of them and wait for
// them.
type Register struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex // guards closed, and orders running.Add before Close
	closed  bool
	running sync.WaitGroup
}

// NewRegister returns an empty register.
func NewRegister() *Register {
	r := &Register{}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Context returns a context that is done when the register is closed.
func (r *Register) Context() context.Context { return r.ctx }

// Enter registers a viewer, which must call Leave when it ends. It returns false after Close.
func (r *Register) Enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.running.Add(1)
	return true
}

// Leave removes a viewer that Enter has registered, once all of its goroutines have ended.
func (r *Register) Leave() { r.running.Done() }

// Go runs f in a goroutine as a registered viewer. It returns false after Close.
func (r *Register) Go(f func()) bool {
	if !r.Enter() {
		return false
	}
	go func() {
		defer r.Leave()
		f()
	}()
	return true
}

// Close cancels Context and waits for all registered viewers.
func (r *Register) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.running.Wait()
}
