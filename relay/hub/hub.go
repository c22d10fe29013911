// Package hub knows every stream by its name: it makes one when somebody publishes, gives
// viewers their place on it, and forgets it when it has ended.
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

// Settings are what a hub asks of the configuration about a stream, by its name.
type Settings interface {
	Stream(name string) stream.Config
	// PlayWait is how long a play by a protocol of a stream that is not live waits for it.
	PlayWait(name, protocol string) time.Duration
}

// Options are what a hub needs.
type Options struct {
	Settings   Settings
	Demand     Demand // nil: what nobody publishes is not there
	MaxStreams int    // 0: no limit
	Observer   stream.Observer
	Counters   *stream.Counters
	Repairs    *ingest.Repairs // see stream.Options
	Log        *slog.Logger
	// Memory bounds what all streams hold; new ones are refused when it is full. nil: no bound.
	Memory *budget.Budget
	// Bridge asks for a stream's sound in another codec; see stream.Options. nil: there is none.
	Bridge     func(name string, to packetbuf.Codec)
	Bridgeable func() bool
	// Absent returns the hint for a viewer of a stream that is not live; empty: to publish to it first. It
	// may be nil.
	Absent func(name string) (hint string)
}

// Hub is the streams of one relay.
type Hub struct {
	opts Options
	load stream.Load

	mu         sync.Mutex // guards all below
	streams    map[string]*stream.Stream
	renditions map[string]map[string]*stream.Stream // of streams, by the parent's name
	max        int
	closed     bool
	news       chan struct{}  // closed when a stream goes live
	waiting    map[string]int // who waits for a stream that is not live
}

// New returns a hub without streams.
func New(o Options) *Hub {
	return &Hub{
		opts: o, max: o.MaxStreams, streams: map[string]*stream.Stream{}, renditions: map[string]map[string]*stream.Stream{},
		news: make(chan struct{}), waiting: map[string]int{},
	}
}

// errClosed: the hub takes nobody any more.
var errClosed = &ingest.Refusal{Outcome: ingest.RefusedLimit, Reason: "the relay is shutting down", Hint: "try again in a moment", RetryAfter: time.Second}

// Publish admits a session to its stream, which is made if need be. It implements
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

// open returns the stream of that name, made if need be.
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
			Outcome: ingest.RefusedLimit, Reason: fmt.Sprintf("the relay has its %d streams", h.max),
			Hint: "try again later, or raise limits.streams", RetryAfter: 10 * time.Second,
		}
	}
	if h.opts.Memory.Full() {
		return nil, &ingest.Refusal{
			Outcome: ingest.RefusedLimit, Reason: "the relay has no memory left for another stream",
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

// observer tells who waits for a stream when one goes live, and passes everything on.
type observer struct{ h *Hub }

func (o observer) Observe(e stream.Event) {
	if e.Type == stream.State && e.To == lifecycle.Live {
		o.h.mu.Lock()
		close(o.h.news)
		o.h.news = make(chan struct{})
		o.h.mu.Unlock()
	}
	o.h.opts.Observer.Observe(e)
}

// Find returns the stream of that name, or nil.
func (h *Hub) Find(name string) *stream.Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.streams[name]
}

// List returns all streams in the order of their names.
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

// Viewers is how many viewers the relay has.
func (h *Hub) Viewers() int { return h.load.Viewers() }

// Reload asks the settings anew for every stream.
func (h *Hub) Reload(maxStreams int) {
	h.mu.Lock()
	h.max = maxStreams
	h.mu.Unlock()
	for _, s := range h.List() {
		s.Configure(h.opts.Settings.Stream(s.Name()))
	}
}

// Close ends every stream, as the relay shuts down, and waits for them.
func (h *Hub) Close(reason string) {
	h.mu.Lock()
	h.closed = true
	close(h.news)
	h.news = make(chan struct{})
	h.mu.Unlock()
	for _, s := range h.List() {
		s.Close(ingest.Shutdown, reason)
	}
}
