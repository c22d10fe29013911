package hls

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/budget"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
)

const (
	// unusedAfter is how long a stream is cut into segments after the last request.
	unusedAfter = 30 * time.Second
	// keepEnded is how long the playlist of an ended stream is still served, with EXT-X-ENDLIST.
	keepEnded = time.Minute
)

var (
	errTimeout  = errors.New("segment or part not available in time")
	errNotFound = errors.New("file not found or expired")
	// errRestarted is returned for a file that may have existed before a restart of the relay.
	errRestarted = errors.New("file not found since the relay was restarted")
)

// channel holds the segments and playlists of one stream.
type channel struct {
	h         *Handler
	stream    string
	settings  Settings
	segmenter *segmenter // used only by the channel's goroutine
	ctx       context.Context
	cancel    context.CancelFunc
	// account counts the bytes of chunks that only the segments still hold, because they have left
	// the feed.
	account  *budget.Account
	previous *channel // the channel that this one replaced, whose files players may still request; guarded by h.mu

	view        atomic.Pointer[view]          // nil before the first playlist
	changed     atomic.Pointer[chan struct{}] // closed when view or err changes
	err         atomic.Pointer[error]         // why no more segments follow
	lastRequest atomic.Int64                  // time of the last request, Unix nanoseconds
	endedAt     atomic.Int64                  // time of the end, Unix nanoseconds; 0 before
}

func newChannel(h *Handler, stream string, s Settings, f floor) *channel {
	c := &channel{h: h, stream: stream, settings: s, segmenter: newSegmenter(s, f.seq, f.discontinuities, newID)}
	c.ctx, c.cancel = context.WithCancel(h.running.Context())
	ch := make(chan struct{})
	c.changed.Store(&ch)
	c.touch()
	c.account = h.opts.Memory.Open(budget.Chunks, c.shrink)
	c.segmenter.memoryShare = c.account.Share
	return c
}

// newID returns an unguessable ID. A client that knows the name of a segment must therefore have
// been given it.
func newID() string {
	var b [9]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (c *channel) touch() { c.lastRequest.Store(time.Now().UnixNano()) }

// shrink marks the channel for removal if the stream has ended. A running channel reduces itself to
// its share of the memory when the next segment is complete.
func (c *channel) shrink() {
	if c.hasEnded() {
		c.endedAt.Store(1)
	}
}

// releaseMemory closes the accounts of the channel and of the channel that it replaced. h.mu is
// held.
func (c *channel) releaseMemory() {
	c.account.Close()
	if c.previous != nil {
		c.previous.releaseMemory()
	}
}

// hasEnded reports whether the channel has ended, so that no more segments follow.
func (c *channel) hasEnded() bool { return c.err.Load() != nil }

// unused reports whether the channel can be removed at time now.
func (c *channel) unused(now time.Time) bool {
	if at := c.endedAt.Load(); at != 0 {
		return now.Sub(time.Unix(0, at)) > keepEnded
	}
	return !c.settings.Always && !c.requested(now)
}

// requested reports whether there was a request within unusedAfter before time now.
func (c *channel) requested(now time.Time) bool {
	return now.Sub(time.Unix(0, c.lastRequest.Load())) <= unusedAfter
}

// run cuts the stream into segments until it ends or is no longer requested.
func (c *channel) run() {
	defer c.cancel()
	err := panics.Run(c.cut)
	panics.Report(c.h.opts.Log.With("stream", c.stream), "HLS output", err)
	if !errors.Is(err, cmaf.ErrEnded) || c.view.Load() == nil {
		c.h.remove(c)
	}
	c.endedAt.Store(time.Now().UnixNano())
	c.err.Store(&err)
	c.notify()
	c.h.opts.Log.Debug("playlist ended", "stream", c.stream, "reason", err)
}

func (c *channel) cut() error {
	feed, err := c.h.opts.Feeds.Acquire(c.ctx, c.stream)
	if err != nil {
		return err
	}
	defer feed.Release()
	defer func() { c.account.Set(c.segmenter.bytesBefore(math.MaxUint64)) }()
	cursor := feed.Oldest()
	for live := false; ; {
		chunks, err := c.next(cursor, live)
		switch {
		case errors.Is(err, errCaughtUp):
			live = true
			c.publish()
			continue
		case errors.Is(err, cmaf.ErrEnded):
			c.segmenter.endPlaylist()
			c.publish()
			return err
		case err != nil:
			return err
		}
		fresh := false
		oldest := feed.OldestSeq()
		for i, chunk := range chunks {
			fresh = c.segmenter.add(chunk, i == 0 && cursor.Skipped()) || fresh
		}
		c.account.Set(c.segmenter.bytesBefore(oldest))
		live = live || time.Since(chunks[len(chunks)-1].Arrived) < time.Second
		if fresh && live {
			c.publish()
		}
	}
}

// catchUpWait is the time without a new chunk after which all buffered media counts as read.
const catchUpWait = 200 * time.Millisecond

var errCaughtUp = errors.New("all buffered media has been read")

// next waits for chunks. If live is not set, the buffered media has not been read yet, and next
// returns errCaughtUp once it has been. Nothing is published before that, because players can
// request delta updates only if what they see grows by one part at a time.
func (c *channel) next(cursor *cmaf.Cursor, live bool) ([]*cmaf.Chunk, error) {
	if live {
		return cursor.Next(c.ctx)
	}
	ctx, cancel := context.WithTimeout(c.ctx, catchUpWait)
	defer cancel()
	chunks, err := cursor.Next(ctx)
	if errors.Is(err, context.DeadlineExceeded) && c.ctx.Err() == nil {
		err = errCaughtUp
	}
	return chunks, err
}

// publish makes the current state visible to all requests.
func (c *channel) publish() {
	v := c.segmenter.view()
	if v == nil {
		return
	}
	c.h.raiseFloor(c.stream, v.next, c.segmenter.discontinuities+1)
	c.view.Store(v)
	c.notify()
}

func (c *channel) notify() {
	ch := make(chan struct{})
	close(*c.changed.Swap(&ch))
}

// await waits for a view that satisfies enough, or for the final view of an ended stream. It
// returns the error of the channel, that of ctx, or errTimeout.
func (c *channel) await(ctx context.Context, enough func(*view) bool) (*view, error) {
	for {
		news := *c.changed.Load()
		v := c.view.Load()
		if v != nil && (enough(v) || v.ended) {
			return v, nil
		}
		if err := c.err.Load(); err != nil {
			return nil, *err
		}
		select {
		case <-news:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil, errTimeout
			}
			return nil, ctx.Err()
		}
	}
}

// file returns the chunks of a segment, part or init section, or nil if it does not exist. comes
// reports whether name is that of the next part, which does not exist yet.
func (c *channel) file(name string) (chunks []*cmaf.Chunk, comes bool) {
	v := c.view.Load()
	if v == nil {
		return nil, false
	}
	if id, ok := strings.CutPrefix(name, "init-"); ok {
		return v.initOf(strings.TrimSuffix(id, ".mp4")), false
	}
	base, ok := strings.CutSuffix(name, ".m4s")
	if !ok {
		return nil, false
	}
	if strings.HasPrefix(base, "p") {
		return v.part(base), base == v.nextPart && !v.ended
	}
	return v.segment(base), false
}

// allSegments returns all segments, including the incomplete one.
func (v *view) allSegments() []*segment {
	if v.open == nil {
		return v.stored
	}
	return append(v.stored[:len(v.stored):len(v.stored)], v.open)
}

// initOf returns the init section with the given ID, or nil.
func (v *view) initOf(id string) []*cmaf.Chunk {
	for _, s := range v.allSegments() {
		if s.init.id == id {
			return []*cmaf.Chunk{s.init.chunk}
		}
	}
	return nil
}

// part returns the chunks of a part, or nil. It searches from the newest.
func (v *view) part(name string) []*cmaf.Chunk {
	for _, s := range slices.Backward(v.allSegments()) {
		for _, p := range slices.Backward(s.parts) {
			if p.name == name {
				return p.chunks
			}
		}
	}
	return nil
}

// segment returns the chunks of a complete segment, or nil.
func (v *view) segment(name string) (chunks []*cmaf.Chunk) {
	number, _, _ := strings.Cut(name, "-")
	seq, err := strconv.ParseUint(number, 10, 63)
	first := v.stored[0].seq
	if err != nil || seq < first || seq-first >= uint64(len(v.stored)) || v.stored[seq-first].name() != name {
		return nil
	}
	for _, p := range v.stored[seq-first].parts {
		chunks = append(chunks, p.chunks...)
	}
	return chunks
}
