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
	// unasked is how long a stream is cut for nobody.
	unasked = 30 * time.Second
	// remains is how long the playlist of a stream that ended is served, with its end.
	remains = time.Minute
)

var (
	errWait = errors.New("what was asked for has not come in time")
	errGone = errors.New("there is no such file, or not any more")
	// errRestarted: it may have been there before the relay was restarted.
	errRestarted = errors.New("there is no such file since the relay was restarted")
)

// channel is one stream's segments and playlists.
type channel struct {
	h      *Handler
	stream string
	set    Settings
	list   *list // of the channel's goroutine
	ctx    context.Context
	cancel context.CancelFunc
	// account is of the chunks that the feed does not hold any more.
	account *budget.Account
	before  *channel // the one whose place it took: players may still want its files. Guarded by h.mu

	shown atomic.Pointer[view]          // nil: nothing yet
	news  atomic.Pointer[chan struct{}] // closed when shown or err changes
	err   atomic.Pointer[error]         // why nothing follows
	asked atomic.Int64                  // when somebody last wanted something, Unix nanoseconds
	ended atomic.Int64
}

func newChannel(h *Handler, stream string, s Settings, f floor) *channel {
	c := &channel{h: h, stream: stream, set: s, list: newList(s, f.seq, f.breaks, newID)}
	c.ctx, c.cancel = context.WithCancel(h.running.Context())
	ch := make(chan struct{})
	c.news.Store(&ch)
	c.touch()
	c.account = h.opts.Memory.Open(budget.Chunks, c.shrink)
	c.list.share = c.account.Share
	return c
}

// newID is what nobody guesses: who has the name of a segment was given it.
func newID() string {
	var b [9]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (c *channel) touch() { c.asked.Store(time.Now().UnixNano()) }

// shrink gives the channel up where the stream has ended. One that is cut keeps to its share when
// the next segment ends.
func (c *channel) shrink() {
	if c.over() {
		c.ended.Store(1)
	}
}

// discharge takes the channel, and the one before it, out of the relay's memory. h.mu is held.
func (c *channel) discharge() {
	c.account.Close()
	if c.before != nil {
		c.before.discharge()
	}
}

// over tells whether nothing follows.
func (c *channel) over() bool { return c.err.Load() != nil }

// idle tells whether the channel is to be given up.
func (c *channel) idle(now time.Time) bool {
	if at := c.ended.Load(); at != 0 {
		return now.Sub(time.Unix(0, at)) > remains
	}
	return !c.set.Always && !c.wanted(now)
}

// wanted tells whether somebody has asked for something lately.
func (c *channel) wanted(now time.Time) bool { return now.Sub(time.Unix(0, c.asked.Load())) <= unasked }

// run cuts the stream until it ends or nobody wants it.
func (c *channel) run() {
	defer c.cancel()
	err := panics.Run(c.cut)
	panics.Report(c.h.opts.Log.With("stream", c.stream), "HLS output", err)
	if !errors.Is(err, cmaf.ErrEnded) || c.shown.Load() == nil {
		c.h.drop(c)
	}
	c.ended.Store(time.Now().UnixNano())
	c.err.Store(&err)
	c.tell()
	c.h.opts.Log.Debug("playlist ended", "stream", c.stream, "reason", err)
}

func (c *channel) cut() error {
	feed, err := c.h.opts.Feeds.Acquire(c.ctx, c.stream)
	if err != nil {
		return err
	}
	defer feed.Release()
	defer func() { c.account.Set(c.list.before(math.MaxUint64)) }()
	cursor := feed.Oldest()
	for present := false; ; {
		chunks, err := c.next(cursor, present)
		switch {
		case errors.Is(err, errPresent):
			present = true
			c.show()
			continue
		case errors.Is(err, cmaf.ErrEnded):
			c.list.finish()
			c.show()
			return err
		case err != nil:
			return err
		}
		fresh := false
		oldest := feed.OldestSeq()
		for i, chunk := range chunks {
			fresh = c.list.add(chunk, i == 0 && cursor.Skipped()) || fresh
		}
		c.account.Set(c.list.before(oldest))
		present = present || time.Since(chunks[len(chunks)-1].Arrived) < time.Second
		if fresh && present {
			c.show()
		}
	}
}

// caught is how long nothing comes where there is no more of the past.
const caught = 200 * time.Millisecond

var errPresent = errors.New("there is no more of the past")

// next waits for chunks. Before the present is reached nobody is shown anything: what a player
// sees grows by a part at a time, or it could not ask for the difference alone.
func (c *channel) next(cursor *cmaf.Cursor, present bool) ([]*cmaf.Chunk, error) {
	if present {
		return cursor.Next(c.ctx)
	}
	ctx, cancel := context.WithTimeout(c.ctx, caught)
	defer cancel()
	chunks, err := cursor.Next(ctx)
	if errors.Is(err, context.DeadlineExceeded) && c.ctx.Err() == nil {
		err = errPresent
	}
	return chunks, err
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
	if !ok {
		return nil, false
	}
	if strings.HasPrefix(base, "p") {
		return v.part(base), base == v.nextPart && !v.ended
	}
	return v.segment(base), false
}

// all are the segments that there is something of.
func (v *view) all() []*segment {
	if v.open == nil {
		return v.stored
	}
	return append(v.stored[:len(v.stored):len(v.stored)], v.open)
}

// initOf finds an init section.
func (v *view) initOf(id string) []*cmaf.Chunk {
	for _, s := range v.all() {
		if s.init.id == id {
			return []*cmaf.Chunk{s.init.chunk}
		}
	}
	return nil
}

// part finds a part, most likely a new one.
func (v *view) part(name string) []*cmaf.Chunk {
	for _, s := range slices.Backward(v.all()) {
		for _, p := range slices.Backward(s.parts) {
			if p.name == name {
				return p.chunks
			}
		}
	}
	return nil
}

// segment finds a complete segment.
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
