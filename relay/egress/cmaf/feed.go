// Package cmaf cuts streams into chunks of fragmented MP4. A stream is cut once for all viewers of
// all protocols that use such chunks.
//
// A feed reads a stream like one viewer. It keeps the newest chunks in a ring, which any number of
// readers share. A feed is created on first use, and closed some time after its last use.
package cmaf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/budget"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// Errors that end a feed.
var (
	// ErrEnded wraps the reason why the stream ended.
	ErrEnded = errors.New("the stream has ended")
	// ErrClosed means that the feed was closed, either because it was unused or because the relay
	// is shutting down.
	ErrClosed = errors.New("the feed is closed")
)

// Chunk is an init section, or a moof with its mdat. It is immutable and shared.
type Chunk struct {
	// Seq increases by one per chunk. The first number of a feed is the wall clock in milliseconds.
	// It is therefore higher than the numbers of all earlier feeds of the stream, even across
	// restarts of the relay.
	Seq uint64
	// Init reports whether the chunk is an init section (ftyp and moov), which applies to the
	// chunks after it.
	Init bool
	Data []byte
	Info *Info // describes the init section in force

	Start    time.Duration // on the stream's clock; never decreases
	Duration time.Duration // up to the start of the next chunk or the end of the media; at most about 100 ms, except for long video frames
	// Independent reports whether the chunk begins with a keyframe or, in a stream without video,
	// contains audio.
	Independent bool
	// Segment reports whether the stream has marked the start of the chunk as the start of a
	// segment.
	Segment bool
	// StandIn reports whether the chunk begins with a keyframe that is repeated in place of missing
	// video. The stream does not know of these keyframes, and marks no segments while video is
	// missing.
	StandIn bool
	// Discontinuity reports whether the times or the init section of the chunk do not continue
	// those of the previous chunk.
	Discontinuity bool
	Wall          time.Time // time of day of Start
	Arrived       time.Time // arrival of the last packet
	VideoFrames   int
	pieces        [2][]piece // samples of the chunk, per track
}

// Limits are the limits of a feed. A zero field means no limit.
type Limits struct {
	Duration time.Duration
	Bytes    int
	// Lag is how far a reader may be behind the newest chunk.
	Lag time.Duration
}

// Options configure Feeds.
type Options struct {
	// Open subscribes a feed to the stream {app}/{name}; it may wait for the stream. The
	// subscription begins at the oldest packet or, if again is set, at the newest random-access
	// point.
	Open func(ctx context.Context, stream string, again bool) (egress.Subscription, error)
	// Reopen reports whether an error of Read ends only the subscription, as after a change of
	// codec. In that case the feed continues with a new subscription. nil means never.
	Reopen func(error) bool
	// Limits returns the limits of a stream's feed.
	Limits func(stream string) Limits
	// Linger is how long an unused feed is kept; 0 means 30 s.
	Linger time.Duration
	// SilentTrack adds a silent AAC track to video without audio, because players cannot change the
	// number of tracks of a buffer. This includes video whose audio is missing, if no silence can
	// be made for the codec of that audio.
	SilentTrack bool
	// Memory bounds the memory of all feeds together with other buffers. If it is nil, only
	// Limits apply.
	Memory *budget.Budget
	Log    *slog.Logger
}

// Feeds holds the feeds of all streams.
type Feeds struct {
	opts    Options
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex // guards the fields below, and Feed.users and Feed.linger
	feeds  map[string]*Feed
	closed bool
}

// New returns an empty set of feeds. Close must be called to end them.
func New(o Options) *Feeds {
	if o.Linger == 0 {
		o.Linger = 30 * time.Second
	}
	if o.Reopen == nil {
		o.Reopen = func(error) bool { return false }
	}
	f := &Feeds{opts: o, feeds: map[string]*Feed{}}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// Close ends all feeds and waits for them. It takes about a second if a stream is silent.
func (f *Feeds) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.running.Wait()
}

// Feed is one stream cut into chunks. Feeds.Acquire returns it; each user must call Release.
type Feed struct {
	name    string
	feeds   *Feeds
	ring    *ring
	cancel  context.CancelFunc
	opening sync.Once
	opened  chan struct{} // closed when err or done is set
	err     error         // error of opening the subscription
	done    <-chan struct{}

	// The fields below are guarded by feeds.mu.
	users  int
	linger *time.Timer
}

// Acquire returns the stream's feed, and creates it if necessary. It waits for the stream. The
// error is that of ctx, ErrClosed, or that of Options.Open.
func (f *Feeds) Acquire(ctx context.Context, stream string) (*Feed, error) {
	feed, err := f.acquire(stream)
	if err != nil {
		return nil, err
	}
	select {
	case <-feed.opened:
	case <-ctx.Done():
		feed.Release()
		return nil, ctx.Err()
	}
	if feed.err != nil {
		feed.Release()
		return nil, feed.err
	}
	return feed, nil
}

// acquire adds a user to the stream's feed, and creates the feed if necessary.
func (f *Feeds) acquire(stream string) (*Feed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	feed := f.feeds[stream]
	if feed == nil {
		feed = f.newFeed(stream)
	}
	feed.users++
	if feed.linger != nil {
		feed.linger.Stop()
	}
	return feed, nil
}

// newFeed starts a feed. f.mu is held.
func (f *Feeds) newFeed(stream string) *Feed {
	feed := &Feed{name: stream, feeds: f, opened: make(chan struct{})}
	first := uint64(time.Now().UnixMilli()) //nolint:gosec // after 1970; chunks are far fewer than milliseconds
	feed.ring = newRing(first, f.opts.Limits(stream))
	feed.ring.account = f.opts.Memory.Open(budget.Chunks, feed.ring.shrink)
	var ctx context.Context
	ctx, feed.cancel = context.WithCancel(f.ctx)
	f.feeds[stream] = feed
	f.running.Go(func() {
		defer feed.cancel()
		err := panics.Run(func() error { return feed.run(ctx, first) })
		panics.Report(f.opts.Log.With("stream", stream), "fMP4 output", err)
		feed.unregister()
		feed.setOpened(err)
		feed.ring.close(err)
		feed.ring.account.Close()
	})
	return feed
}

// unregister removes the feed from feeds, so that the next Acquire creates a new one.
func (f *Feed) unregister() {
	f.feeds.mu.Lock()
	defer f.feeds.mu.Unlock()
	if f.feeds.feeds[f.name] == f {
		delete(f.feeds.feeds, f.name)
	}
	if f.linger != nil {
		f.linger.Stop()
	}
}

// Release ends one use of the feed. The caller's cursors must not be used after that.
func (f *Feed) Release() {
	f.feeds.mu.Lock()
	defer f.feeds.mu.Unlock()
	if f.users--; f.users > 0 || f.feeds.feeds[f.name] != f {
		return
	}
	if f.linger == nil {
		f.linger = time.AfterFunc(f.feeds.opts.Linger, f.closeUnused)
		return
	}
	f.linger.Reset(f.feeds.opts.Linger)
}

// closeUnused ends the feed if it is still unused.
func (f *Feed) closeUnused() {
	f.feeds.mu.Lock()
	defer f.feeds.mu.Unlock()
	if f.users == 0 && f.feeds.feeds[f.name] == f {
		delete(f.feeds.feeds, f.name)
		f.cancel()
	}
}

// Join returns a cursor at the newest independent chunk, after its init section.
func (f *Feed) Join() *Cursor { return &Cursor{r: f.ring, lag: f.ring.limits.Lag} }

// Oldest returns a cursor at the oldest independent chunk in the feed. The cursor does not skip
// chunks as long as its next chunk is still in the feed.
func (f *Feed) Oldest() *Cursor { return &Cursor{r: f.ring, fromOldest: true} }

// After returns a cursor after the chunk with sequence number seq; the reader must have that
// chunk's init section. The reader may have been away for long, so Limits.Lag does not apply until
// it has caught up. If the chunk is not in the feed, After returns a cursor like Join's, and exact
// is false.
func (f *Feed) After(seq uint64) (c *Cursor, exact bool) {
	c = f.Join()
	f.ring.mu.RLock()
	defer f.ring.mu.RUnlock()
	if r := f.ring; seq+1 >= r.tail && seq < r.head {
		c.next, c.sentInit, c.catchingUp = seq+1, r.initOf(seq), true
		return c, true
	}
	return c, false
}

// OldestSeq returns the sequence number of the oldest chunk in the feed.
func (f *Feed) OldestSeq() uint64 { return f.ring.oldest() }

// Info returns the description of the init section in force, or nil if there is none yet.
func (f *Feed) Info() *Info {
	f.ring.mu.RLock()
	defer f.ring.mu.RUnlock()
	if n := len(f.ring.inits); n > 0 {
		return f.ring.inits[n-1].Info
	}
	return nil
}

// Codecs returns the codecs of the init section in force, in the format of RFC 6381. It is empty if
// there is no init section yet.
func (f *Feed) Codecs() string {
	if i := f.Info(); i != nil {
		return i.Codecs
	}
	return ""
}

// Done returns a channel that is closed when the stream has ended. Chunks may still remain to be
// read.
func (f *Feed) Done() <-chan struct{} { return f.done }

// run reads the stream until it ends, and returns the reason.
func (f *Feed) run(ctx context.Context, first uint64) error {
	sub, err := f.feeds.opts.Open(ctx, f.name, false)
	if err != nil {
		f.unregister()
		f.setOpened(err)
		return err
	}
	f.done = sub.Done()
	f.setOpened(nil)
	c := &cutter{emit: f.ring.append, seq: first, silentTrack: f.feeds.opts.SilentTrack, warn: f.warn}
	for sub != nil {
		c.expectTracks(sub)
		read := c.lastSeq
		err = f.readAll(ctx, sub, c)
		sub = f.reopen(ctx, err, c.lastSeq == read)
	}
	var refused *CodecError
	switch {
	case errors.As(err, &refused):
		return err
	case ctx.Err() != nil:
		return ErrClosed
	}
	c.flush()
	f.feeds.opts.Log.Debug("feed ended", "stream", f.name, "reason", err)
	return fmt.Errorf("%w: %w", ErrEnded, err)
}

// setOpened tells waiting callers of Acquire that the feed runs or, if err is not nil, why it does
// not. Only the first call has an effect.
func (f *Feed) setOpened(err error) {
	f.opening.Do(func() {
		f.err = err
		close(f.opened)
	})
}

// reopen returns a subscription that replaces one that ended with err, or nil if the feed must end.
// If idle is set, the ended subscription had nothing new, and reopen waits a little.
func (f *Feed) reopen(ctx context.Context, err error, idle bool) egress.Subscription {
	if !f.feeds.opts.Reopen(err) {
		return nil
	}
	if idle {
		wait := time.NewTimer(maxDuration / 5)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done():
			return nil
		}
	}
	next, err := f.feeds.opts.Open(ctx, f.name, true)
	if err != nil {
		return nil
	}
	if next.Done() != f.done { // a new stream of the same name, with another clock
		next.Close()
		return nil
	}
	return next
}

// readAll reads a subscription until it returns an error.
func (f *Feed) readAll(ctx context.Context, sub egress.Subscription, c *cutter) error {
	defer sub.Close()
	for {
		packets, err := sub.Read(ctx)
		if err != nil {
			return err
		}
		for _, p := range packets {
			if err := c.write(p); err != nil {
				return err
			}
		}
	}
}

// warn logs that the stream's audio was removed from the chunks.
func (f *Feed) warn(codec packetbuf.Codec) {
	f.feeds.opts.Log.Warn("audio taken out of fMP4 until it returns: no silent frame is known for its codec", "stream", f.name, "codec", codec.String())
}
