package hub

import (
	"maps"
	"slices"
	"sync"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// LiveNames holds the names of the streams that are live or held, for the state file. It omits
// streams whose publisher has unpublished, because these are not expected to return after a restart.
type LiveNames struct {
	mu      sync.Mutex // guards names and frozen
	names   map[string]bool
	frozen  bool
	changed chan struct{} // capacity 1
}

// NewLiveNames returns empty LiveNames.
func NewLiveNames() *LiveNames {
	return &LiveNames{names: map[string]bool{}, changed: make(chan struct{}, 1)}
}

// Observe updates the names from a stream's event.
func (l *LiveNames) Observe(e stream.Event) {
	live := false
	switch {
	case e.Type == stream.Ended:
	case e.Type != stream.State:
		return
	case e.To == lifecycle.Live || e.To == lifecycle.Suspect:
		live = true
	case e.To == lifecycle.Held:
		live = e.Cause != ingest.Unpublish
	}
	l.mu.Lock()
	changed := !l.frozen && l.names[e.Stream] != live
	if changed && live {
		l.names[e.Stream] = true
	} else if changed {
		delete(l.names, e.Stream)
	}
	l.mu.Unlock()
	if changed {
		l.Touch()
	}
}

// Changed returns a channel that receives a value when the names have changed since the last value.
func (l *LiveNames) Changed() <-chan struct{} { return l.changed }

// Touch makes Changed receive a value.
func (l *LiveNames) Touch() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Freeze stops updates. It is called when the relay shuts down, so that the streams that end then
// are kept.
func (l *LiveNames) Freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = true
}

// List returns the names, sorted.
func (l *LiveNames) List() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.names))
}
