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

// Bridged receives the transcoded audio of a stream. See stream.Stream.
type Bridged interface {
	// Bridge adds a configuration, or a frame with its DTS on the stream's clock. kept is false for a
	// frame that was dropped because of its DTS. An error means that no more audio is accepted.
	Bridge(p *packetbuf.Packet) (kept bool, err error)
}

// BridgeOptions configures Bridges.
type BridgeOptions struct {
	// Open subscribes to a stream at its newest keyframe, and returns the receiver of its transcoded
	// audio. It fails if the stream is not live.
	Open func(stream string) (Tap, Bridged, error)
	// Max is the maximum number of concurrent bridges; 0 means no limit. A bridge needs one or
	// two percent of a CPU core.
	Max int
	// Program is the transcoder. The default is ffmpeg from the PATH.
	Program string
	// Memory limits the address space of each ffmpeg process, in bytes, on Linux; 0 means no limit.
	Memory int64
	Log    *slog.Logger // may be nil
}

// bridgeTiming is the timing of Bridges.
var bridgeTiming = timing{
	lease: 10 * time.Second, hang: 5 * time.Second, tick: time.Second, steady: 30 * time.Second, pause: 30 * time.Second,
}

// errNoBridge means that the transcoder is not installed.
var errNoBridge = errors.New("audio cannot be transcoded: viewers who cannot play the publisher's codec get video only; install ffmpeg")

// Bridges transcodes the audio of streams to another codec for viewers that cannot play the
// original, for as long as that is requested: AAC, MP3 and others to Opus, and Opus to AAC.
type Bridges struct {
	o        BridgeOptions
	timing   timing
	launch   func(program string, args []string) (*running, error)
	work     sync.WaitGroup
	restarts atomic.Uint64 // total over all bridges
	failures atomic.Uint64
	able     atomic.Bool // ffmpeg was found when last searched for

	mu            sync.Mutex // guards the fields below
	closed        bool
	missingLogged bool      // it was logged that ffmpeg is missing
	limitLogged   time.Time // when reaching the limit was last logged
	all           map[bridgeKey]*bridge
}

type bridgeKey struct {
	stream string
	to     packetbuf.Codec
}

// NewBridges returns Bridges without a running bridge.
func NewBridges(o BridgeOptions) *Bridges {
	o.Program = cmp.Or(o.Program, "ffmpeg")
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	launch := func(program string, args []string) (*running, error) { return launch(program, args, o.Memory) }
	r := &Bridges{o: o, timing: bridgeTiming, launch: launch, all: map[bridgeKey]*bridge{}}
	_, err := exec.LookPath(o.Program)
	r.able.Store(err == nil)
	return r
}

// Able reports whether the transcoder was found when it was last searched for.
func (r *Bridges) Able() bool { return r.able.Load() }

// Want requests a stream's audio in another codec for at least the next 10 seconds. It starts the
// bridge if it is not running. It does not block.
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
		if now.Sub(r.limitLogged) >= r.timing.pause {
			r.limitLogged = now
			r.o.Log.Warn("audio not bridged: bridge limit reached", "stream", stream, "limit", r.o.Max)
		}
		return
	}
	b := &bridge{bridges: r, stream: stream, to: to, log: r.o.Log.With("stream", stream, "to", to.String())}
	b.status = BridgeStatus{Stream: stream, To: to, Since: now}
	b.ctx, b.cancel = context.WithCancelCause(context.Background())
	b.lease(now.Add(r.timing.lease))
	r.all[key] = b
	r.work.Go(b.run)
}

func (r *Bridges) remove(b *bridge) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, bridgeKey{b.stream, b.to})
}

// find returns the path of ffmpeg. If ffmpeg is missing, that is logged once until it is found
// again.
func (r *Bridges) find() (string, error) {
	program, err := exec.LookPath(r.o.Program)
	r.able.Store(err == nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.missingLogged = false
		return program, nil
	}
	err = fmt.Errorf("%w: %w", errNoBridge, err)
	if !r.missingLogged {
		r.missingLogged = true
		r.o.Log.Error("audio not bridged", "err", err)
	}
	return "", err
}

// BridgeStatus is the status of a bridge.
type BridgeStatus struct {
	Stream             string
	From, To           packetbuf.Codec // From is NoCodec before the first frame
	Since              time.Time       // since when the bridge is wanted
	Runs               bool            // whether ffmpeg is running
	Restarts, Failures uint64
	Packets, Dropped   uint64 // packets added to the stream, and packets dropped because they were late
	Err                string // last failure
}

// Status returns the status of all bridges, sorted by stream.
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

// BridgeCounts contains totals over all bridges.
type BridgeCounts struct {
	Wanted, Running    int    // now
	Restarts, Failures uint64 // since the start
}

// Counts returns the totals over all bridges.
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

// Close ends all bridges and waits for them.
func (r *Bridges) Close() {
	r.mu.Lock()
	r.closed = true
	for _, b := range r.all {
		b.cancel(errClosing)
	}
	r.mu.Unlock()
	r.work.Wait()
}
