package hls

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
)

const (
	// unasked is how long a stream is cut for nobody.
	unasked = 30 * time.Second
	// remains is how long the playlist of a stream that ended is served, with its end.
	remains = time.Minute
)

var (
	errWait = errors.New("what was asked for has not come in time")
	errGone = errors.New("there is no such file, or not any more")
)

// channel is one stream's segments and playlists.
type channel struct {
	h      *Handler
	stream string
	set    Settings
	list   *list // of the channel's goroutine
	ctx    context.Context
	cancel context.CancelFunc
	before *channel // the one whose place it took: players may still want its files. Guarded by h.mu

	shown atomic.Pointer[view]          // nil: nothing yet
	news  atomic.Pointer[chan struct{}] // closed when shown or err changes
	err   atomic.Pointer[error]         // why nothing follows
	asked atomic.Int64                  // when somebody last wanted something, Unix nanoseconds
	ended atomic.Int64
}

func newChannel(h *Handler, stream string, s Settings, f floor) *channel {
	c := &channel{h: h, stream: stream, set: s, list: newList(s, f.seq, f.breaks, newID)}
	c.ctx, c.cancel = context.WithCancel(h.ctx)
	ch := make(chan struct{})
	c.news.Store(&ch)
	c.touch()
	return c
}

// newID is what nobody guesses: who has the name of a segment was given it.
func newID() string {
	var b [9]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (c *channel) touch() { c.asked.Store(time.Now().UnixNano()) }

// over tells whether nothing follows.
func (c *channel) over() bool { return c.err.Load() != nil }

// idle tells whether the channel is to be given up.
func (c *channel) idle(now time.Time) bool {
	if at := c.ended.Load(); at != 0 {
		return now.Sub(time.Unix(0, at)) > remains
	}
	return !c.set.Always && now.Sub(time.Unix(0, c.asked.Load())) > unasked
}

// run cuts the stream until it ends or nobody wants it.
func (c *channel) run() {
	defer c.cancel()
	err := c.cut()
	if !errors.Is(err, cmaf.ErrEnded) || c.shown.Load() == nil {
		c.h.drop(c)
	}
	c.ended.Store(time.Now().UnixNano())
	c.err.Store(&err)
	c.tell()
	c.h.opts.Log.Debug("playlist ended", "stream", c.stream, "reason", err)
}

func (c *channel) cut() error {
	feed, err := c.h.opts.Feeds.Use(c.ctx, c.stream)
	if err != nil {
		return err
	}
	defer feed.Release()
	cursor := feed.Oldest()
	for {
		chunks, err := cursor.Next(c.ctx)
		if err != nil {
			if errors.Is(err, cmaf.ErrEnded) {
				c.list.finish()
				c.show()
			}
			return err
		}
		fresh := false
		for i, chunk := range chunks {
			fresh = c.list.add(chunk, i == 0 && cursor.Skipped()) || fresh
		}
		if fresh && len(chunks) < cmaf.Batch { // of the past there is more to come
			c.show()
		}
	}
}

// show lets all see what there is now.
func (c *channel) show() {
	v := c.list.view()
	if v == nil {
		return
	}
	c.h.raise(c.stream, v.next, c.list.breaks+1)
	c.shown.Store(v)
	c.tell()
}

func (c *channel) tell() {
	ch := make(chan struct{})
	close(*c.news.Swap(&ch))
}

// await waits for a view that is enough; one of a stream that has ended is. The error is that
// of the stream, of ctx, or errWait.
func (c *channel) await(ctx context.Context, enough func(*view) bool) (*view, error) {
	for {
		news := *c.news.Load()
		v := c.shown.Load()
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
				return nil, errWait
			}
			return nil, ctx.Err()
		}
	}
}

// file is the chunks of a segment, part or init section; nil where there is none, or, with
// comes, where it is the next part.
func (c *channel) file(name string) (chunks []*cmaf.Chunk, comes bool) {
	v := c.shown.Load()
	if v == nil {
		return nil, false
	}
	if id, ok := strings.CutPrefix(name, "init-"); ok {
		return v.initOf(strings.TrimSuffix(id, ".mp4")), false
	}
	base, ok := strings.CutSuffix(name, ".m4s")
	number, rest, found := strings.Cut(base, "-")
	seq, err := strconv.ParseUint(number, 10, 63)
	if !ok || !found || err != nil {
		return nil, false
	}
	id, index, isPart := strings.Cut(rest, ".")
	n := -1
	if isPart {
		i, err := strconv.ParseUint(index, 10, 16)
		if err != nil {
			return nil, false
		}
		n = int(i) //nolint:gosec // 16 bits
	}
	return v.media(seq, id, n)
}

// initOf finds an init section.
func (v *view) initOf(id string) []*cmaf.Chunk {
	for _, s := range append(v.stored[:len(v.stored):len(v.stored)], v.open) {
		if s != nil && s.init.id == id {
			return []*cmaf.Chunk{s.init.chunk}
		}
	}
	return nil
}

// media finds a segment, or with n not negative a part.
func (v *view) media(seq uint64, id string, n int) (chunks []*cmaf.Chunk, comes bool) {
	s := v.open
	switch first := v.stored[0].seq; {
	case seq == v.next && id == v.nextID:
		return nil, n == 0 && v.open == nil && !v.ended
	case seq >= first && seq-first < uint64(len(v.stored)):
		s = v.stored[seq-first]
	case s == nil || s.seq != seq:
		return nil, false
	}
	switch {
	case s.id != id:
		return nil, false
	case n >= 0 && n < len(s.parts):
		return s.parts[n].chunks, false
	case n >= 0:
		return nil, s == v.open && n == len(s.parts)
	case s == v.open:
		return nil, false
	}
	for _, p := range s.parts {
		chunks = append(chunks, p.chunks...)
	}
	return chunks, false
}
