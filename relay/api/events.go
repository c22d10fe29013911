package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// kept is how many events a subscriber that comes back may have missed and still gets.
	kept = 512
	// pending is how many events a slow subscriber may have waiting before it is cut off; it
	// comes back with Last-Event-ID and gets what is kept.
	pending = 64
	// comment is how often an idle subscription says something.
	comment = 15 * time.Second
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
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	out := sender{w: w, control: http.NewResponseController(w)}
	out.say(": holdfast events\n\n")
	for _, e := range missed {
		out.event(e)
	}
	out.flush()
	out.follow(r.Context(), follow)
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

// sender writes server-sent events; after an error it writes no more.
type sender struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (s *sender) say(text string) {
	if s.err == nil {
		_ = s.control.SetWriteDeadline(time.Now().Add(2 * comment))
		_, s.err = s.w.Write([]byte(text))
	}
}

func (s *sender) event(e Event) {
	data, err := json.Marshal(e)
	if err != nil {
		return
	}
	s.say(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Type, data))
}

func (s *sender) flush() {
	if s.err == nil {
		s.err = s.control.Flush()
	}
}

func (s *sender) follow(ctx context.Context, events <-chan Event) {
	idle := time.NewTicker(comment)
	defer idle.Stop()
	for s.err == nil {
		select {
		case <-ctx.Done():
			return
		case <-idle.C:
			s.say(": still here\n\n")
		case e, ok := <-events:
			if !ok {
				return
			}
			s.event(e)
		}
		s.flush()
	}
}
