// Package status tells viewers how the stream that they watch is, whatever they watch it by: live,
// held while its publisher is away, or over; since when, and how it was in the last minutes.
// Nothing of it says who publishes, or from where.
package status

import (
	"sync"
	"time"
)

// The states of a stream as viewers are told.
const (
	Live  = "live"
	Held  = "held"
	Ended = "ended"
)

const (
	// maxAge is how long the past is kept.
	maxAge = 5 * time.Minute
	// maxPast is how many spans of it are kept at the most, the newest.
	maxPast = 32
)

// Span is a time during which a stream was in one state. It lasts until the next one begins.
type Span struct {
	State string    `json:"state"`
	Cause string    `json:"cause,omitempty"` // why it is not live
	Since time.Time `json:"since"`
}

// Report is how a stream is, and was.
type Report struct {
	Span
	Now  time.Time `json:"now"`
	Past []Span    `json:"past"` // the oldest first, as far as it reaches into the last five minutes
}

// Board has the states of all streams that are there.
type Board struct {
	mu      sync.Mutex // guards all below, and what the entries hold
	streams map[string]*entry
}

type entry struct {
	spans   []Span // never empty, the one in force last
	changed chan struct{}
}

// NewBoard returns a board that knows no stream.
func NewBoard() *Board { return &Board{streams: map[string]*entry{}} }

// Set notes that a stream is in another state since now. One that has ended is forgotten.
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

// trim forgets what nobody is told any more.
func (e *entry) trim(now time.Time) {
	n := 0
	for n < len(e.spans)-1 && (len(e.spans)-n > maxPast+1 || now.Sub(e.spans[n+1].Since) > maxAge) {
		n++
	}
	e.spans = append(e.spans[:0], e.spans[n:]...)
}

// Watcher follows one stream until it ends. One goroutine uses it.
type Watcher struct {
	b *Board
	e *entry
}

// Watch returns a watcher of a stream; nil where there is none.
func (b *Board) Watch(stream string) *Watcher {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.streams[stream]
	if e == nil {
		return nil
	}
	return &Watcher{b, e}
}

// Status is how the stream is, and a channel that is closed when that changes.
func (w *Watcher) Status(now time.Time) (Report, <-chan struct{}) {
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	w.e.trim(now)
	last := len(w.e.spans) - 1
	return Report{w.e.spans[last], now, append([]Span{}, w.e.spans[:last]...)}, w.e.changed
}
