// Package status reports the state of a stream to its viewers, whatever protocol they use. A stream
// is live, held while its publisher is away, or ended. A report says since when, and has the states
// of the last minutes. It reveals nothing about the publisher.
package status

import (
	"sync"
	"time"
)

// States of a stream.
const (
	Live  = "live"
	Held  = "held"
	Ended = "ended"
)

const (
	// maxAge is how long past states are kept.
	maxAge = 5 * time.Minute
	// maxPast is the maximum number of past states that are kept.
	maxPast = 32
)

// Span is a period in which a stream is in one state. It lasts until the next span begins.
type Span struct {
	State string    `json:"state"`
	Cause string    `json:"cause,omitempty"` // why the stream is not live
	Since time.Time `json:"since"`
}

// Report is the current state of a stream and its recent past.
type Report struct {
	Span
	Now  time.Time `json:"now"`
	Past []Span    `json:"past"` // oldest first, covering the last five minutes
}

// Board holds the states of all existing streams.
type Board struct {
	mu      sync.Mutex // guards streams and its entries
	streams map[string]*entry
}

type entry struct {
	spans   []Span // never empty; the current one is last
	changed chan struct{}
}

// NewBoard returns a board without streams.
func NewBoard() *Board { return &Board{streams: map[string]*entry{}} }

// Set records that a stream has been in a state since time now. A stream that has ended is removed.
func (b *Board) Set(now time.Time, stream, state, cause string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.streams[stream]
	switch {
	case e == nil && state == Ended:
		return
	case e == nil:
		e = &entry{changed: make(chan struct{})}
		b.streams[stream] = e
	case e.spans[len(e.spans)-1].State == state:
		return
	}
	e.spans = append(e.spans, Span{state, cause, now})
	e.trim(now)
	close(e.changed)
	e.changed = make(chan struct{})
	if state == Ended {
		delete(b.streams, stream)
	}
}

// trim removes the spans that are too old for reports at time now.
func (e *entry) trim(now time.Time) {
	n := 0
	for n < len(e.spans)-1 && (len(e.spans)-n > maxPast+1 || now.Sub(e.spans[n+1].Since) > maxAge) {
		n++
	}
	e.spans = append(e.spans[:0], e.spans[n:]...)
}

// Watcher follows one stream until it ends. It is not safe for concurrent use.
type Watcher struct {
	b *Board
	e *entry
}

// Watch returns a watcher of a stream, or nil if the stream does not exist.
func (b *Board) Watch(stream string) *Watcher {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.streams[stream]
	if e == nil {
		return nil
	}
	return &Watcher{b, e}
}

// Status returns the state of the stream at time now, and a channel that is closed when the state
// changes.
func (w *Watcher) Status(now time.Time) (Report, <-chan struct{}) {
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	w.e.trim(now)
	last := len(w.e.spans) - 1
	return Report{w.e.spans[last], now, append([]Span{}, w.e.spans[:last]...)}, w.e.changed
}
