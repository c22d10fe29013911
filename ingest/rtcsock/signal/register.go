package signal

import (
	"context"
	"fmt"
	"sync"
)

// Register tracks running sessions, to end them all and to wait for them. Its zero value is ready to use.
type Register struct {
	mu      sync.Mutex // guards the fields below
	ends    map[int]func()
	next    int
	closed  bool
	running sync.WaitGroup
}

// Add registers a session. end must make the session end, without waiting; it may be called at any
// time until left is called. The caller must call left once the session has released everything. ok
// is false after Close.
func (r *Register) Add(end func()) (left func(), ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, false
	}
	if r.ends == nil {
		r.ends = map[int]func(){}
	}
	id := r.next
	r.next++
	r.ends[id] = end
	r.running.Add(1)
	return sync.OnceFunc(func() {
		r.mu.Lock()
		delete(r.ends, id)
		r.mu.Unlock()
		r.running.Done()
	}), true
}

// Close ends all sessions and waits for them, at most until ctx is done.
func (r *Register) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	ends := make([]func(), 0, len(r.ends))
	for _, end := range r.ends {
		ends = append(ends, end)
	}
	r.mu.Unlock()
	for _, end := range ends {
		end()
	}
	done := make(chan struct{})
	go func() {
		r.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close sessions: %w", ctx.Err())
	}
}
