package mse

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// maxBytes and maxChunks bound the unacknowledged chunks. One batch may exceed the limits.
	maxBytes  = 8 << 20
	maxChunks = 1024
)

var errNotAcknowledged = errors.New("chunks not acknowledged in time")

// window holds the chunks that were sent to a client and that the client has not acknowledged.
type window struct {
	freed chan struct{} // capacity 1: chunks were acknowledged

	mu    sync.Mutex  // guards the fields below
	sent  []sentChunk // oldest first
	bytes int
	acks  bool // the client acknowledges chunks
}

type sentChunk struct {
	seq   uint64
	bytes int
	at    time.Time
}

func (w *window) add(seq uint64, bytes int, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, sentChunk{seq, bytes, at})
	w.bytes += bytes
}

// ack removes the chunks up to sequence number seq, because the client has acknowledged them.
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

// reset removes all chunks.
func (w *window) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent, w.bytes = w.sent[:0], 0
}

// full reports whether sending must pause at time now. That is so if too many chunks are
// unacknowledged, or if a client that acknowledges chunks has not acknowledged the oldest one
// within lag.
func (w *window) full(now time.Time, lag time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	late := w.acks && len(w.sent) > 0 && now.Sub(w.sent[0].at) > lag
	return late || w.bytes > maxBytes || len(w.sent) > maxChunks
}

// wait waits until sending may continue. It returns errNotAcknowledged if that takes longer than
// lag.
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
			return errNotAcknowledged
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
