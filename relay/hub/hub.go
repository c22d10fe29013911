// Package hub holds all streams of a relay by name. It creates a stream when a publisher
// arrives, subscribes viewers to it, and removes it when it has ended.
package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/budget"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// Settings returns the configuration of streams by name.
type Settings interface {
	Stream(name string) stream.Config
	// PlayWait returns how long a viewer of the given protocol waits for a stream that is not live.
	PlayWait(name, protocol string) time.Duration
}

// Options configures a Hub.
type Options struct {
	Settings   Settings
	Demand     Demand // may be nil
	MaxStreams int    // 0 means no limit
	Observer   stream.Observer
	Counters   *stream.Counters
	Repairs    *ingest.Repairs // see stream.Options
	Log        *slog.Logger
	// Memory bounds the memory of all streams; new ones are rejected when it is full. nil means
	// no limit.
	Memory *budget.Budget
	// Bridge requests a stream's audio in another codec; see stream.Options. It may be nil.
	Bridge     func(name string, to packetbuf.Codec)
	Bridgeable func() bool
	// Absent returns the hint for a viewer of a stream that is not live. If it returns "" or is nil,
	// the hint is to publish to the stream first.
	Absent func(name string) (hint string)
}

// Hub holds the streams of one relay.
type Hub struct {
	opts Options
	load stream.Load

	mu         sync.Mutex // guards the fields below
	streams    map[string]*stream.Stream
	renditions map[string]map[string]*stream.Stream // by the parent's name, then by name
	max        int
	closed     bool
	wentLive   chan struct{}  // closed when a stream goes live
	waiting    map[string]int // number of viewers that wait for a stream, by its name
}

// New returns a hub without streams.
func New(o Options) *Hub {
	return &Hub{
		opts: o, max: o.MaxStreams, streams: map[string]*stream.Stream{}, renditions: map[string]map[string]*stream.Stream{},
		wentLive: make(chan struct{}), waiting: map[string]int{},
	}
}

// errClosed is the refusal of publishers and viewers after Close.
var errClosed = &ingest.Refusal{Outcome: ingest.RefusedLimit, Reason: "the relay is shutting down", Hint: "try again in a moment", RetryAfter: time.Second}

// Publish admits a session to its stream, and creates the stream if it does not exist. It implements
// ingest.Access.
func (h *Hub) Publish(ctx context.Context, r ingest.Request) (ingest.Sink, error) {
	name, err := ingest.StreamName(r.App, r.Name)
	if err != nil {
		return nil, err
	}
	for {
		s, err := h.open(name)
		if err != nil {
			return nil, err
		}
		sink, err := s.Publish(ctx, r)
		if errors.Is(err, stream.ErrEnded) {
			h.forget(s)
			continue
		}
		return sink, err
	}
}

// open returns the named stream, and creates it if it does not exist.
func (h *Hub) open(name string) (*stream.Stream, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errClosed
	}
	if s := h.streams[name]; s != nil {
		return s, nil
	}
	if h.max > 0 && len(h.streams) >= h.max {
		return nil, &ingest.Refusal{
			Outcome: ingest.RefusedLimit, Reason: fmt.Sprintf("stream limit (%d) reached", h.max),
			Hint: "try again later, or raise limits.streams", RetryAfter: 10 * time.Second,
		}
	}
	if h.opts.Memory.Full() {
		return nil, &ingest.Refusal{
			Outcome: ingest.RefusedLimit, Reason: "memory limit reached",
			Hint: "try again later, or raise limits.memory", RetryAfter: 10 * time.Second,
		}
	}
	s := stream.New(name, stream.Options{
		Config: h.opts.Settings.Stream(name), Observer: observer{h}, Counters: h.opts.Counters, Load: &h.load, Repairs: h.opts.Repairs,
		Log: h.opts.Log.With("stream", name), OnEnd: h.forget, Bridge: h.opts.Bridge, Bridgeable: h.opts.Bridgeable, Memory: h.opts.Memory,
	})
	h.streams[name] = s
	if parent := ingest.ParentStream(name); parent != name {
		if h.renditions[parent] == nil {
			h.renditions[parent] = map[string]*stream.Stream{}
		}
		h.renditions[parent][name] = s
	}
	return s, nil
}

func (h *Hub) forget(s *stream.Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams[s.Name()] != s {
		return
	}
	delete(h.streams, s.Name())
	parent := ingest.ParentStream(s.Name())
	delete(h.renditions[parent], s.Name())
	if len(h.renditions[parent]) == 0 {
		delete(h.renditions, parent)
	}
}

// observer wakes waiting viewers when a stream goes live, and forwards all events.
type observer struct{ h *Hub }

func (o observer) Observe(e stream.Event) {
	if e.Type == stream.State && e.To == lifecycle.Live {
		o.h.mu.Lock()
		close(o.h.wentLive)
		o.h.wentLive = make(chan struct{})
		o.h.mu.Unlock()
	}
	o.h.opts.Observer.Observe(e)
}

// Find returns the named stream, or nil.
func (h *Hub) Find(name string) *stream.Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.streams[name]
}

// List returns all streams, sorted by name.
func (h *Hub) List() []*stream.Stream {
	h.mu.Lock()
	out := make([]*stream.Stream, 0, len(h.streams))
	for _, s := range h.streams {
		out = append(out, s)
	}
	h.mu.Unlock()
	slices.SortFunc(out, func(a, b *stream.Stream) int { return strings.Compare(a.Name(), b.Name()) })
	return out
}

// Viewers returns the number of viewers of the relay.
func (h *Hub) Viewers() int { return h.load.Viewers() }

// Reload sets the maximum number of streams, and applies the current settings to every stream.
func (h *Hub) Reload(maxStreams int) {
	h.mu.Lock()
	h.max = maxStreams
	h.mu.Unlock()
	for _, s := range h.List() {
		s.Configure(h.opts.Settings.Stream(s.Name()))
	}
}

// Close ends all streams because the relay shuts down, and waits until they have ended.
func (h *Hub) Close(reason string) {
	h.mu.Lock()
	h.closed = true
	close(h.wentLive)
	h.wentLive = make(chan struct{})
	h.mu.Unlock()
	for _, s := range h.List() {
		s.Close(ingest.Shutdown, reason)
	}
}
