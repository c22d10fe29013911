// Package hls serves streams as HLS and low-latency HLS (RFC 8216, and its second edition).
//
// A stream's segments and parts are cut once, from the chunks of package cmaf, and shared by all
// viewers. Each state of a playlist is rendered once. Sequence numbers never decrease, even if
// another publisher continues the stream or the relay restarts.
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

// Protocol is the name of the protocol in metrics.
const Protocol = "hls"

// Settings define how a stream is cut into segments and served.
type Settings struct {
	Segment, Part time.Duration
	Window        int           // segments in the playlist
	Always        bool          // the stream is cut even if it has no viewers
	Bytes         int           // limit of the segments in memory; 0 means unlimited
	WriteTimeout  time.Duration // of one write; 0 means none
}

// Options configure a Handler.
type Options struct {
	// Admission admits and counts the viewers. Each viewer holds a subscription, which is not read.
	Admission egress.Admission
	HTTP      egress.HTTP
	Metrics   egress.Metrics
	Sessions  Sessions // if nil, sessions end with this handler
	Feeds     *cmaf.Feeds
	Settings  func(stream string) Settings
	// Renditions returns the names of the existing renditions of a stream. It is called repeatedly
	// while the stream has viewers. nil means that there are none.
	Renditions func(stream string) []string
	// Restarted waits, until ctx is done at the latest, for a stream that is expected to return
	// after a restart of the relay. It reports whether players may know names of files from before
	// the restart. nil means never.
	Restarted func(ctx context.Context, stream string) bool
	// Memory bounds the memory of all segments together with other buffers. If it is nil, only
	// Settings apply.
	Memory *budget.Budget
	Log    *slog.Logger
}

// Sessions issues names for the sessions of viewers that play with a token. The name is part of the
// viewer's URLs, and replaces the token.
type Sessions interface {
	// SessionName returns a name for the new session of a viewer of a stream and its renditions.
	// The name is valid until the time until, when the token expires; the zero Time means forever.
	SessionName(stream string, until time.Time) string
	// IssuedSession reports whether a name is still valid and was issued for a stream, or for the
	// stream of which that stream is a rendition.
	IssuedSession(stream, name string) bool
}

// Handler serves the playlists and media of /{app}/{name}/.
type Handler struct {
	opts      Options
	running   *egress.Register // channels and sweep
	sweepOnce sync.Once        // starts sweep
	viewers   viewers
	instance  instance

	mu       sync.Mutex // guards the fields below
	channels map[string]*channel
	floors   map[string]floor
	// peaks holds discontinuity sequences of floors that have expired, if they are above the base;
	// see baseDiscontinuity.
	peaks map[string]uint64
}

// floor holds the minimum sequence numbers of a stream's next playlist.
type floor struct {
	seq, discontinuities uint64
	since                time.Time
}

// floorTTL is how long a floor is kept. After that time, sequence numbers derived from the wall
// clock are higher.
const floorTTL = time.Hour

// New returns a handler. Close must be called to stop it.
func New(o Options) *Handler {
	h := &Handler{opts: o, running: egress.NewRegister(), channels: map[string]*channel{}, floors: map[string]floor{}, peaks: map[string]uint64{}, instance: newInstance(time.Now())}
	h.viewers.init(o.Admission, o.Sessions)
	return h
}

// Close ends all playlists and blocked requests, and closes the viewers' subscriptions.
func (h *Handler) Close() {
	h.running.Close()
	h.viewers.close()
}

// Names of playlists.
const (
	indexFile = "index.m3u8"
	mediaFile = "media.m3u8"
	plainFile = "plain.m3u8"
)

// Match reports whether a path is that of a file of a stream, and returns the path's components.
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

// Live tells the handler that a stream has gone live. If the stream's Settings.Always is set, the
// handler starts to cut it.
func (h *Handler) Live(stream string) {
	if h.opts.Settings(stream).Always {
		h.channelFor(stream)
	}
}

// lookup returns the stream's channel and the channel that it replaced. Each is nil if it does not
// exist.
func (h *Handler) lookup(stream string) (c, before *channel) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c = h.channels[stream]; c != nil {
		before = c.previous
	}
	return c, before
}

// channelFor returns the stream's channel. If there is none or it has ended, it creates a new one.
// After Close it may return nil.
func (h *Handler) channelFor(stream string) *channel {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.channels[stream]
	if c != nil && !c.hasEnded() {
		return c
	}
	begins := h.floors[stream]
	begins.discontinuities = max(begins.discontinuities, h.peaks[stream], h.baseDiscontinuity(time.Now()))
	next := newChannel(h, stream, h.opts.Settings(stream), begins)
	next.segmenter.parentTarget = h.parentTarget(stream)
	if !h.running.Go(next.run) {
		next.cancel()
		next.account.Close()
		return c
	}
	if c != nil {
		if c.previous != nil {
			c.previous.releaseMemory()
		}
		c.previous, next.previous = nil, c
	}
	h.channels[stream] = next
	h.sweepOnce.Do(func() { h.running.Go(h.sweep) })
	return next
}

// parentTarget returns the target duration, in seconds, of the stream of which this one is a
// rendition. It returns 0 if that is not yet known or the stream is no rendition. h.mu is held.
func (h *Handler) parentTarget(stream string) int {
	parent, _, ok := strings.Cut(stream, "~")
	c := h.channels[parent]
	if !ok || c == nil {
		return 0
	}
	if v := c.view.Load(); v != nil {
		return v.target
	}
	return 0
}

// remove removes a channel that has ended, unless another has replaced it.
func (h *Handler) remove(c *channel) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.channels[c.stream] == c {
		delete(h.channels, c.stream)
	}
	c.releaseMemory()
}

// raiseFloor records the media sequence and discontinuity sequence that a stream has reached.
func (h *Handler) raiseFloor(stream string, seq, breaks uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.floors[stream]
	h.floors[stream] = floor{max(f.seq, seq), max(f.discontinuities, breaks), time.Now()}
}

// sweep removes unused viewers and channels once a second until Close.
func (h *Handler) sweep() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-h.running.Context().Done():
			return
		case now := <-tick.C:
			h.viewers.expire(now)
			wanted := h.removeUnused(now)
			for _, stream := range wanted {
				if h.opts.Renditions != nil {
					h.opts.Renditions(stream)
				}
			}
		}
	}
}

// maxPeaks is the maximum number of streams in Handler.peaks.
const maxPeaks = 4096

// baseDiscontinuity returns the minimum discontinuity sequence of every stream at time now. It
// depends only on the time, so that streams do not affect each other.
func (h *Handler) baseDiscontinuity(now time.Time) uint64 {
	return 1 + steps(now.Sub(h.instance.exactStart), unnamedInterval)
}

// rememberPeak keeps a discontinuity sequence of a stream until the base has reached it. h.mu is
// held.
func (h *Handler) rememberPeak(stream string, breaks uint64) {
	if len(h.peaks) < maxPeaks {
		h.peaks[stream] = breaks
	}
}

// removeUnused removes unused channels. It returns the streams that are being requested.
func (h *Handler) removeUnused(now time.Time) (wanted []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, c := range h.channels {
		switch {
		case c.unused(now):
			c.cancel()
			c.releaseMemory()
			delete(h.channels, name)
		case c.requested(now) && !c.hasEnded():
			wanted = append(wanted, name)
		}
	}
	for name, f := range h.floors {
		if now.Sub(f.since) > floorTTL {
			h.rememberPeak(name, max(f.discontinuities, h.peaks[name]))
			delete(h.floors, name)
		}
	}
	base := h.baseDiscontinuity(now)
	for name, breaks := range h.peaks {
		if breaks <= base {
			delete(h.peaks, name)
		}
	}
	return wanted
}
