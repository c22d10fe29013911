package mse

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// mostBytes and mostChunks bound what is sent and not acknowledged, give or take one batch.
	mostBytes  = 8 << 20
	mostChunks = 1024
)

var errSilent = errors.New("what was sent is not acknowledged")

// window is what a client was sent and has not acknowledged.
type window struct {
	freed chan struct{} // of one: something was acknowledged

	mu    sync.Mutex // guards what follows
	sent  []sent     // the oldest first
	bytes int
	acks  bool // the client acknowledges at all
}

type sent struct {
	seq   uint64
	bytes int
	at    time.Time
}

func (w *window) add(seq uint64, bytes int, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, sent{seq, bytes, at})
	w.bytes += bytes
}

// ack takes away what was sent up to a sequence.
func (w *window) ack(seq uint64) {
	w.mu.Lock()
	n := 0
	for n < len(w.sent) && w.sent[n].seq <= seq {
		w.bytes -= w.sent[n].bytes
		n++
	}
	w.sent = append(w.sent[:0], w.sent[n:]...)
	w.acks = true
	w.mu.Unlock()
	select {
	case w.freed <- struct{}{}:
	default:
	}
}

// forget gives up waiting for what was sent.
func (w *window) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent, w.bytes = w.sent[:0], 0
}

// full tells whether to send no more for now: too much is on its way or, of a client that
// acknowledges, something for too long.
func (w *window) full(now time.Time, lag time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	late := w.acks && len(w.sent) > 0 && now.Sub(w.sent[0].at) > lag
	return late || w.bytes > mostBytes || len(w.sent) > mostChunks
}

// wait waits until there is room, for no longer than lag; then it is errSilent.
func (w *window) wait(ctx context.Context, lag time.Duration) error {
	if !w.full(time.Now(), lag) {
		return nil
	}
	patience := time.NewTimer(lag)
	defer patience.Stop()
	for w.full(time.Now(), lag) {
		select {
		case <-w.freed:
		case <-patience.C:
			return errSilent
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
