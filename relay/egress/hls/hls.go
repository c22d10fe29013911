// Package hls serves streams as HLS and low-latency HLS (RFC 8216, and its second edition).
//
// A stream's segments and parts are made once, of the chunks of package cmaf, and its playlists
// once per state; all viewers share them. Sequences never go back, whatever becomes of the
// publisher or of the relay.
package hls

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/budget"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
)

// Protocol is its name in metrics.
const Protocol = "hls"

// Settings are how a stream is cut.
type Settings struct {
	Segment, Part time.Duration
	Window        int // segments in the playlist
	Always        bool
	Bytes         int           // of the segments held; 0: no bound
	WriteTimeout  time.Duration // of one write; 0: none
}

// Options are what the handler needs.
type Options struct {
	// Admission subscribes each viewer, so that it is admitted and counted. Its subscription is not
	// read.
	Admission egress.Admission
	HTTP      egress.HTTP
	Metrics   egress.Metrics
	Sessions  Sessions // nil: sessions end with this handler
	Feeds     *cmaf.Feeds
	Settings  func(stream string) Settings
	// Renditions are the streams that are there beside a stream as renditions of it. It is asked
	// again and again while the stream is wanted. nil: there are none.
	Renditions func(stream string) []string
	// Restarted waits, until ctx is done at most, for a stream that is expected back after a restart
	// of the relay. It reports whether players may hold names of files from before the restart.
	// nil: there are none.
	Restarted func(ctx context.Context, stream string) bool
	// Memory bounds what all segments hold together with other buffers. nil: only Settings do.
	Memory *budget.Budget
	Log    *slog.Logger
}

// Sessions names the sessions of viewers that play with a token. The name stands in their URLs, and for
// the token.
type Sessions interface {
	// SessionName returns a new name for the session of a viewer of a stream and its renditions, which is
	// valid until the token expires; the zero Time is never.
	SessionName(stream string, until time.Time) string
	// IssuedSession reports whether a name was issued for a stream, or for the one that it is a rendition
	// of, and is still valid.
	IssuedSession(stream, name string) bool
}

// Handler serves the playlists and media of /{app}/{name}/.
type Handler struct {
	opts    Options
	running *egress.Register // what cuts, and sweep
	begun   sync.Once        // of sweep
	viewers viewers
	run     run

	mu       sync.Mutex // guards what follows
	channels map[string]*channel
	floors   map[string]floor
	// peaks has the discontinuity sequences of floors that were forgotten and stand above base.
	peaks map[string]uint64
}

// floor is where the sequences of a stream's next playlist begin at the least.
type floor struct {
	seq, breaks uint64
	since       time.Time
}

// forgotten is how long a floor is kept: by then the wall clock stands above its segments.
const forgotten = time.Hour

// New returns a handler. Close ends it.
func New(o Options) *Handler {
	h := &Handler{opts: o, running: egress.NewRegister(), channels: map[string]*channel{}, floors: map[string]floor{}, peaks: map[string]uint64{}, run: newRun(time.Now())}
	h.viewers.init(o.Admission, o.Sessions)
	return h
}

// Close ends all streams' playlists and requests that wait, and gives the viewers' places up.
func (h *Handler) Close() {
	h.running.Close()
	h.viewers.close()
}

// The playlists.
const (
	indexFile = "index.m3u8"
	mediaFile = "media.m3u8"
	plainFile = "plain.m3u8"
)

// Match tells whether a path is one of a stream's files, and which.
func Match(path string) (app, name, file string, ok bool) {
	app, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	name, file, _ = strings.Cut(rest, "/")
	switch {
	case app == "" || name == "" || strings.Contains(file, "/"):
		return "", "", "", false
	case file == indexFile, file == mediaFile, file == plainFile:
		return app, name, file, true
	}
	return app, name, file, strings.HasSuffix(file, ".m4s") || strings.HasSuffix(file, ".mp4")
}

// Live says that a stream has gone live: one that is always cut begins.
func (h *Handler) Live(stream string) {
	if h.opts.Settings(stream).Always {
		h.channel(stream)
	}
}

// find is the stream's channel, and the one before it; nil where there is none.
func (h *Handler) find(stream string) (c, before *channel) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c = h.channels[stream]; c != nil {
		before = c.before
	}
	return c, before
}

// channel is the stream's channel, made where there is none that goes on; nil after Close.
func (h *Handler) channel(stream string) *channel {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.channels[stream]
	if c != nil && !c.over() {
		return c
	}
	begins := h.floors[stream]
	begins.breaks = max(begins.breaks, h.peaks[stream], h.base(time.Now()))
	next := newChannel(h, stream, h.opts.Settings(stream), begins)
	next.list.like = h.targetOf(stream)
	if !h.running.Go(next.run) {
		next.cancel()
		next.account.Close()
		return c
	}
	if c != nil {
		if c.before != nil {
			c.before.discharge()
		}
		c.before, next.before = nil, c
	}
	h.channels[stream] = next
	h.begun.Do(func() { h.running.Go(h.sweep) })
	return next
}

// targetOf is the target duration of the stream that this one is a rendition of, in seconds;
// 0: there is none yet. h.mu is held.
func (h *Handler) targetOf(stream string) int {
	parent, _, ok := strings.Cut(stream, "~")
	c := h.channels[parent]
	if !ok || c == nil {
		return 0
	}
	if v := c.shown.Load(); v != nil {
		return v.target
	}
	return 0
}

// drop forgets a channel that has ended, unless another has taken its place.
func (h *Handler) drop(c *channel) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.channels[c.stream] == c {
		delete(h.channels, c.stream)
	}
	c.discharge()
}

// raise notes how far a stream's sequences have come.
func (h *Handler) raise(stream string, seq, breaks uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.floors[stream]
	h.floors[stream] = floor{max(f.seq, seq), max(f.breaks, breaks), time.Now()}
}

// sweep gives up what nobody asks for any more.
func (h *Handler) sweep() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-h.running.Context().Done():
			return
		case now := <-tick.C:
			h.viewers.expire(now)
			wanted := h.clear(now)
			for _, stream := range wanted {
				if h.opts.Renditions != nil {
					h.opts.Renditions(stream)
				}
			}
		}
	}
}

// mostPeaks is how many streams are remembered that are away and had many discontinuities.
const mostPeaks = 4096

// base is where the discontinuity sequences of every stream begin at the least: it rises with the
// clock alone, so that no stream raises another's.
func (h *Handler) base(now time.Time) uint64 { return 1 + steps(now.Sub(h.run.exact), nameless) }

// remember keeps a discontinuity sequence until base has come as far. h.mu is held.
func (h *Handler) remember(stream string, breaks uint64) {
	if len(h.peaks) < mostPeaks {
		h.peaks[stream] = breaks
	}
}

// clear gives up what nobody asks for, and returns the streams that somebody does ask for.
func (h *Handler) clear(now time.Time) (wanted []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, c := range h.channels {
		switch {
		case c.idle(now):
			c.cancel()
			c.discharge()
			delete(h.channels, name)
		case c.wanted(now) && !c.over():
			wanted = append(wanted, name)
		}
	}
	for name, f := range h.floors {
		if now.Sub(f.since) > forgotten {
			h.remember(name, max(f.breaks, h.peaks[name]))
			delete(h.floors, name)
		}
	}
	base := h.base(now)
	for name, breaks := range h.peaks {
		if breaks <= base {
			delete(h.peaks, name)
		}
	}
	return wanted
}
