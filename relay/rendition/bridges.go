package rendition

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Bridged takes the sound that a bridge makes of a stream's own. See stream.Stream.
type Bridged interface {
	// Bridge takes a configuration, or a frame with its DTS on the stream's clock. kept is false
	// for a frame that comes too late; the error says that no more is taken.
	Bridge(p *packetbuf.Packet) (kept bool, err error)
}

// BridgeOptions are what Bridges need.
type BridgeOptions struct {
	// Open gives a place on a stream, at its newest keyframe, and where its bridged sound goes.
	// Its error says that the stream is not live.
	Open func(stream string) (Tap, Bridged, error)
	// Max is how many bridges there may be at a time; 0: no bound. One takes one or two percent
	// of a core.
	Max int
	// Program is what puts sound into another codec. Empty: ffmpeg, from the PATH.
	Program string
	// Memory bounds the address space of a child in bytes, on Linux; 0: no bound.
	Memory int64
	Log    *slog.Logger // nil: nothing is logged
}

// bridging is how patient Bridges are.
var bridging = timing{
	lease: 10 * time.Second, hang: 5 * time.Second, tick: time.Second, steady: 30 * time.Second, pause: 30 * time.Second,
}

// errNoBridge: there is no program to bridge with.
var errNoBridge = errors.New("sound cannot be put into another codec: viewers who do not take the publisher's have pictures alone; install ffmpeg")

// Bridges put the sound of streams into the codec that some of their viewers need, as long as
// somebody asks for it: AAC, MP3 and others into Opus, and Opus into AAC.
type Bridges struct {
	o        BridgeOptions
	timing   timing
	launch   func(program string, args []string) (*running, error)
	work     sync.WaitGroup
	restarts atomic.Uint64 // of all bridges, so far
	failures atomic.Uint64
	able     atomic.Bool // there was a program when it was last looked for

	mu      sync.Mutex // guards all below
	closed  bool
	missing bool      // the program's lack was told
	full    time.Time // when it was last told that there are too many
	all     map[bridgeKey]*bridge
}

type bridgeKey struct {
	stream string
	to     packetbuf.Codec
}

// NewBridges returns Bridges that have none yet.
func NewBridges(o BridgeOptions) *Bridges {
	o.Program = cmp.Or(o.Program, "ffmpeg")
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	launch := func(program string, args []string) (*running, error) { return launch(program, args, o.Memory) }
	r := &Bridges{o: o, timing: bridging, launch: launch, all: map[bridgeKey]*bridge{}}
	_, err := exec.LookPath(o.Program)
	r.able.Store(err == nil)
	return r
}

// Able tells whether there is a program to bridge with, as far as is known.
func (r *Bridges) Able() bool { return r.able.Load() }

// Want says that somebody needs a stream's sound in a codec, for the next 10 seconds at least.
// The bridge is begun unless it is there. It does not block.
func (r *Bridges) Want(stream string, to packetbuf.Codec) {
	now := time.Now()
	key := bridgeKey{stream, to}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if b := r.all[key]; b != nil {
		b.lease(now.Add(r.timing.lease))
		return
	}
	if r.o.Max > 0 && len(r.all) >= r.o.Max {
		if now.Sub(r.full) >= r.timing.pause {
			r.full = now
			r.o.Log.Warn("sound is not bridged: as many bridges run as are allowed", "stream", stream, "limit", r.o.Max)
		}
		return
	}
	b := &bridge{of: r, stream: stream, to: to, log: r.o.Log.With("stream", stream, "to", to.String())}
	b.status = BridgeStatus{Stream: stream, To: to, Since: now}
	b.ctx, b.cancel = context.WithCancelCause(context.Background())
	b.lease(now.Add(r.timing.lease))
	r.all[key] = b
	r.work.Go(b.run)
}

func (r *Bridges) forget(b *bridge) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, bridgeKey{b.stream, b.to})
}

// find finds the program. That there is none is told once, until there is one.
func (r *Bridges) find() (string, error) {
	program, err := exec.LookPath(r.o.Program)
	r.able.Store(err == nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.missing = false
		return program, nil
	}
	err = fmt.Errorf("%w: %w", errNoBridge, err)
	if !r.missing {
		r.missing = true
		r.o.Log.Error("sound is not bridged", "err", err)
	}
	return "", err
}

// BridgeStatus is a bridge at one moment.
type BridgeStatus struct {
	Stream             string
	From, To           packetbuf.Codec // From is NoCodec before the first frame
	Since              time.Time       // it is wanted
	Runs               bool            // a program runs now
	Restarts, Failures uint64
	Packets, Dropped   uint64 // given to the stream, and come too late for it
	Err                string // of the last failure
}

// Status describes all bridges, by their streams' names.
func (r *Bridges) Status() []BridgeStatus {
	r.mu.Lock()
	all := make([]*bridge, 0, len(r.all))
	for _, b := range r.all {
		all = append(all, b)
	}
	r.mu.Unlock()
	out := make([]BridgeStatus, 0, len(all))
	for _, b := range all {
		b.mu.Lock()
		out = append(out, b.status)
		b.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b BridgeStatus) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.To, b.To))
	})
	return out
}

// BridgeCounts are all bridges together.
type BridgeCounts struct {
	Wanted, Running    int    // now
	Restarts, Failures uint64 // so far
}

// Counts counts the bridges.
func (r *Bridges) Counts() BridgeCounts {
	c := BridgeCounts{Restarts: r.restarts.Load(), Failures: r.failures.Load()}
	for _, s := range r.Status() {
		c.Wanted++
		if s.Runs {
			c.Running++
		}
	}
	return c
}

// Close ends all bridges and waits until nothing is left of them.
func (r *Bridges) Close() {
	r.mu.Lock()
	r.closed = true
	for _, b := range r.all {
		b.cancel(errClosing)
	}
	r.mu.Unlock()
	r.work.Wait()
}
