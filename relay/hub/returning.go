package hub

import (
	"context"
	"sync"
	"time"
)

// Returning holds the streams that were live before a restart and whose publishers are expected to
// return, each until its deadline. The zero value holds none.
type Returning struct {
	mu    sync.Mutex // guards known and what its entries hold
	known map[string]*returning
}

type returning struct {
	until time.Time
	back  bool
	over  chan struct{} // closed when the stream is back or no longer expected
}

// Expect adds streams by name, each with its deadline.
func (r *Returning) Expect(until map[string]time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]*returning{}
	}
	for name, at := range until {
		r.known[name] = &returning{until: at, over: make(chan struct{})}
	}
}

// Left returns how much longer a stream is expected to return, or 0 if it is not expected.
func (r *Returning) Left(now time.Time, name string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.known[name]; s != nil && !s.back {
		return max(0, s.until.Sub(now))
	}
	return 0
}

// Restarted reports whether viewers may still have URLs of a stream from before the restart. That is
// the case until the stream's deadline, whether or not the stream has returned.
func (r *Returning) Restarted(now time.Time, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.known[name]
	return s != nil && now.Before(s.until)
}

// Wait waits until a stream has returned or is no longer expected, or until ctx is done.
func (r *Returning) Wait(ctx context.Context, name string) {
	r.mu.Lock()
	s := r.known[name]
	r.mu.Unlock()
	if s == nil {
		return
	}
	select {
	case <-s.over:
	case <-ctx.Done():
	}
}

// Back records that a stream is live.
func (r *Returning) Back(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.known[name]; s != nil && !s.back {
		s.back = true
		close(s.over)
	}
}

// Expire removes the streams whose deadline has passed, and returns those that have not returned.
// next is the next deadline, or zero if no stream remains.
func (r *Returning) Expire(now time.Time) (lost []string, next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, s := range r.known {
		switch {
		case now.Before(s.until):
			if next.IsZero() || s.until.Before(next) {
				next = s.until
			}
			continue
		case !s.back:
			close(s.over)
			lost = append(lost, name)
		}
		delete(r.known, name)
	}
	return lost, next
}

// Deadlines returns the streams that are still expected, each with its deadline.
func (r *Returning) Deadlines() map[string]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]time.Time{}
	for name, s := range r.known {
		if !s.back {
			out[name] = s.until
		}
	}
	return out
}
