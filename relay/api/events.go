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
	// keptEvents is how many past events are kept for subscribers that reconnect.
	keptEvents = 512
	// subscriberBuffer is how many events may wait for a slow subscriber before it is
	// disconnected. It reconnects with Last-Event-ID and gets the kept events.
	subscriberBuffer = 64
)

// Event is an event in the API.
type Event struct {
	ID      uint64    `json:"id"`
	Time    time.Time `json:"time"`
	Type    string    `json:"type"`
	Stream  string    `json:"stream,omitempty"`
	Session string    `json:"session,omitempty"`
	// Fields depend on the type of the event: cause, from, to, protocol, remote and others.
	Fields map[string]any `json:"fields,omitempty"`
}

// Events publishes events to subscribers as server-sent events.
type Events struct {
	mu   sync.Mutex        // guards the fields below
	last uint64            // ID of the newest event; the first has 1
	ring [keptEvents]Event // by ID modulo keptEvents
	subs map[chan Event]bool
	done bool

	log eventLog // event logs of the streams
}

// NewEvents returns an Events without subscribers.
func NewEvents() *Events { return &Events{subs: map[chan Event]bool{}} }

// Publish assigns an ID to an event and sends it to all subscribers. It does not block.
func (b *Events) Publish(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	e.ID = b.last
	b.ring[e.ID%keptEvents] = e
	b.log.add(e.Stream, entryOf(e), true)
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

// subscribe returns the kept events whose IDs are greater than after, and a channel of the events
// that follow.
func (b *Events) subscribe(after uint64) (missed []Event, follow chan Event, leave func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := max(after+1, b.last-min(b.last, keptEvents)+1); id <= b.last; id++ {
		missed = append(missed, b.ring[id%keptEvents])
	}
	ch := make(chan Event, subscriberBuffer)
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

// ServeHTTP streams events: first the kept events after Last-Event-ID, then all that follow. Without
// Last-Event-ID it starts with the next event.
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

// followEvents writes events until the channel is closed, the client disconnects, or ctx is done.
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

// after returns the ID of the last event that a subscriber has received, given its Last-Event-ID. An
// ID above the newest one is from an earlier run of the relay; such a subscriber has received none
// of the current events.
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
