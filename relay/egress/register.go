package egress

import (
	"context"
	"sync"
)

// Register knows whether viewers of a protocol are there, to end them all and to wait for them.
type Register struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex // guards closed, and that nobody enters after it
	closed  bool
	running sync.WaitGroup
}

// NewRegister returns an empty register.
func NewRegister() *Register {
	r := &Register{}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Context ends when the register closes.
func (r *Register) Context() context.Context { return r.ctx }

// Enter takes somebody in, who is to call Leave; false after Close.
func (r *Register) Enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.running.Add(1)
	return true
}

// Leave says that nothing is left of who has entered.
func (r *Register) Leave() { r.running.Done() }

// Go has f run as somebody who has entered; false after Close.
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

// Close ends all who are there and waits for them.
func (r *Register) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.running.Wait()
}
