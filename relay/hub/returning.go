package hub

import (
	"context"
	"sync"
	"time"
)

// Returning has the streams that were live before the relay was restarted and whose publishers are
// expected back, each until its deadline. The zero value expects none.
type Returning struct {
	mu    sync.Mutex // guards known and what its entries hold
	known map[string]*returning
}

type returning struct {
	until time.Time
	back  bool
	over  chan struct{} // closed when the stream is back or has been given up
}

// Expect adds streams by their names, each with the time until which it is expected.
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

// Left returns how much longer a stream is expected; 0 if it is back, given up or never was.
func (r *Returning) Left(now time.Time, name string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.known[name]; s != nil && !s.back {
		return max(0, s.until.Sub(now))
	}
	return 0
}

// Restarted reports whether viewers may still hold addresses of a stream from before the restart:
// until the stream's deadline, whether it is back or not.
func (r *Returning) Restarted(now time.Time, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.known[name]
	return s != nil && now.Before(s.until)
}

// Wait returns when a stream is back, is not expected any more, or ctx is done.
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

// Back notes that a stream is live.
func (r *Returning) Back(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.known[name]; s != nil && !s.back {
		s.back = true
		close(s.over)
	}
}

// Expire gives up the streams whose deadline has passed and returns those that are not back. next is
// the next deadline; zero if no stream is left.
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

// Deadlines returns the streams that are not back, each with its deadline.
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
