package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/relay/sse"
)

const (
	// kept is how many events a subscriber that comes back may have missed and still gets.
	kept = 512
	// pending is how many events a slow subscriber may have waiting before it is cut off; it
	// comes back with Last-Event-ID and gets what is kept.
	pending = 64
)

// Event is what happened, as the API shows it.
type Event struct {
	ID      uint64    `json:"id"`
	Time    time.Time `json:"time"`
	Type    string    `json:"type"`
	Stream  string    `json:"stream,omitempty"`
	Session string    `json:"session,omitempty"`
	// What belongs to the type of event: cause, from, to, protocol, remote and the like.
	Fields map[string]any `json:"fields,omitempty"`
}

// Events hands events to subscribers as server-sent events.
type Events struct {
	mu   sync.Mutex  // guards all below
	last uint64      // number of the newest event; the first has 1
	ring [kept]Event // by their numbers modulo kept
	subs map[chan Event]bool
	done bool

	shelf shelf // what happened to each stream
}

// NewEvents returns an Events without subscribers.
func NewEvents() *Events { return &Events{subs: map[chan Event]bool{}} }

// Publish gives an event its number and hands it on. It does not block.
func (b *Events) Publish(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	e.ID = b.last
	b.ring[e.ID%kept] = e
	b.shelf.add(e.Stream, told(e), true)
	for ch := range b.subs {
		select {
		case ch <- e:
		default:
			delete(b.subs, ch)
			close(ch)
		}
	}
}

// Close ends all subscriptions.
func (b *Events) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
	for ch := range b.subs {
		delete(b.subs, ch)
		close(ch)
	}
}

// subscribe returns what is kept after the event with number after, and what follows.
func (b *Events) subscribe(after uint64) (missed []Event, follow chan Event, leave func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := max(after+1, b.last-min(b.last, kept)+1); id <= b.last; id++ {
		missed = append(missed, b.ring[id%kept])
	}
	ch := make(chan Event, pending)
	if b.done {
		close(ch)
		return missed, ch, func() {}
	}
	b.subs[ch] = true
	return missed, ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.subs, ch)
	}
}

// ServeHTTP streams events: those after Last-Event-ID as far as they are kept, then all that
// follow. Without Last-Event-ID it starts with what comes next.
func (b *Events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	missed, follow, leave := b.subscribe(b.after(r.Header.Get("Last-Event-ID")))
	defer leave()
	out := sse.NewWriter(w)
	out.Comment("holdfast events")
	for _, e := range missed {
		writeEvent(out, e)
	}
	if out.Flush() == nil {
		followEvents(r.Context(), out, follow)
	}
}

// followEvents writes events until there are no more, the client has left, or ctx is done.
func followEvents(ctx context.Context, out *sse.Writer, events <-chan Event) {
	idle := time.NewTicker(sse.Idle)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-idle.C:
			out.Comment("still here")
		case e, ok := <-events:
			if !ok {
				return
			}
			writeEvent(out, e)
		}
		if out.Flush() != nil {
			return
		}
	}
}

func writeEvent(out *sse.Writer, e Event) {
	if data, err := json.Marshal(e); err == nil {
		out.Event(strconv.FormatUint(e.ID, 10), e.Type, string(data))
	}
}

// after is the number of the last event that a subscriber has. One that has more than there
// were had them from a relay before this one, and has none of ours.
func (b *Events) after(last string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	id, err := strconv.ParseUint(last, 10, 64)
	switch {
	case err != nil:
		return b.last
	case id > b.last:
		return 0
	}
	return id
}
