// Package cmaf cuts streams into chunks of fragmented MP4, once for all viewers of all
// protocols that play it.
//
// A feed reads a stream as one viewer would, and holds the newest chunks in a ring from which
// any number read. It is made when somebody needs it and given up some time after nobody does.
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
	// ErrEnded is wrapped by how the stream ended.
	ErrEnded = errors.New("the stream has ended")
	// ErrClosed: the feed was given up, or the relay is shutting down.
	ErrClosed = errors.New("the feed is closed")
)

// Chunk is an init section, or a moof with its mdat. It is immutable and shared.
type Chunk struct {
	// Seq rises by one. It begins above that of any feed of the stream before, also of another
	// run of the relay: it comes from the wall clock.
	Seq uint64
	// Init tells that this is ftyp and moov, for the chunks that follow.
	Init bool
	Data []byte
	Info *Info // of the init section in force

	Start    time.Duration // on the stream's clock; it does not go back
	Duration time.Duration // until the next one starts, or the media ends; about Most at the most, but for pictures that stand
	// Independent tells that it begins with a keyframe or, without pictures, that it is sound.
	Independent bool
	// Segment reports that a segment begins here, as the stream has marked.
	Segment bool
	// StandIn reports that it begins with a keyframe that stands in for video which is away. The
	// stream knows nothing of it, and marks no segments meanwhile.
	StandIn bool
	// Discontinuity tells that times, or the init section, do not continue those before.
	Discontinuity bool
	Wall          time.Time // the time of day of Start
	Arrived       time.Time // when its last packet came in
	VideoFrames   int
	pieces        [2][]piece // what it consists of
}

// Limits bound what a feed holds; zero means no bound.
type Limits struct {
	Duration time.Duration
	Bytes    int
	// Lag is how far a reader may fall behind.
	Lag time.Duration
}

// Options are what feeds need.
type Options struct {
	// Open gives a feed its place on the stream {app}/{name}, which it may wait for: at the
	// oldest that there is or, with again, at the newest random-access point.
	Open func(ctx context.Context, stream string, again bool) (egress.Subscription, error)
	// Again tells whether the error of a Read ends the place, and not the stream: a new place
	// goes on, as after a change of codec. nil: never.
	Again func(error) bool
	// Limits are the stream's.
	Limits func(stream string) Limits
	// Linger is how long a feed is kept that nobody uses; 0: 30 s.
	Linger time.Duration
	// SilentTrack puts a silent AAC track beside video that has no audio, or whose audio is away
	// and in a codec for which no silence can be made: players cannot take another number of
	// tracks into a buffer.
	SilentTrack bool
	// Memory bounds what all feeds hold together with other buffers. nil: only Limits do.
	Memory *budget.Budget
	Log    *slog.Logger
}

// Feeds are the feeds of all streams.
type Feeds struct {
	opts    Options
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex // guards what follows, and the users of all feeds
	feeds  map[string]*Feed
	closed bool
}

// New returns no feeds yet. Close ends them.
func New(o Options) *Feeds {
	if o.Linger == 0 {
		o.Linger = 30 * time.Second
	}
	if o.Again == nil {
		o.Again = func(error) bool { return false }
	}
	f := &Feeds{opts: o, feeds: map[string]*Feed{}}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// Close ends all feeds and waits for them: about a second where a stream is silent.
func (f *Feeds) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.running.Wait()
}

// Feed is one stream in chunks. It is had by Use and must be given back by Release.
type Feed struct {
	name    string
	all     *Feeds
	ring    *ring
	cancel  context.CancelFunc
	opening sync.Once
	opened  chan struct{} // closed when err or done is set
	err     error         // of opening
	done    <-chan struct{}

	// Guarded by all.mu:
	users  int
	linger *time.Timer
}

// Use returns the stream's feed, which is made where there is none. It waits for the stream;
// the error is ctx's, ErrClosed, or that of Options.Open.
func (f *Feeds) Use(ctx context.Context, stream string) (*Feed, error) {
	feed, err := f.join(stream)
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

// join counts a user of the stream's feed, which is made where there is none.
func (f *Feeds) join(stream string) (*Feed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	feed := f.feeds[stream]
	if feed == nil {
		feed = f.make(stream)
	}
	feed.users++
	if feed.linger != nil {
		feed.linger.Stop()
	}
	return feed, nil
}

// make begins a feed. f.mu is held.
func (f *Feeds) make(stream string) *Feed {
	feed := &Feed{name: stream, all: f, opened: make(chan struct{})}
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
		feed.forget()
		feed.open(err)
		feed.ring.close(err)
		feed.ring.account.Close()
	})
	return feed
}

// forget has the next one who asks be given a new feed.
func (f *Feed) forget() {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	if f.all.feeds[f.name] == f {
		delete(f.all.feeds, f.name)
	}
	if f.linger != nil {
		f.linger.Stop()
	}
}

// Release gives the feed back. Cursors must not be used any more.
func (f *Feed) Release() {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	if f.users--; f.users > 0 || f.all.feeds[f.name] != f {
		return
	}
	if f.linger == nil {
		f.linger = time.AfterFunc(f.all.opts.Linger, f.unused)
		return
	}
	f.linger.Reset(f.all.opts.Linger)
}

// unused ends a feed that nobody has used for long.
func (f *Feed) unused() {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	if f.users == 0 && f.all.feeds[f.name] == f {
		delete(f.all.feeds, f.name)
		f.cancel()
	}
}

// Join returns a place at the newest independent chunk, behind its init section.
func (f *Feed) Join() *Cursor { return &Cursor{r: f.ring, lag: f.ring.limits.Lag} }

// Oldest returns a place at the oldest independent chunk that the feed holds. It does not skip
// as long as the feed holds what comes next.
func (f *Feed) Oldest() *Cursor { return &Cursor{r: f.ring, oldest: true} }

// After returns a place behind the chunk of this sequence, whose init section the reader has.
// It does not skip for lag before it has caught up: the reader may have been away for long.
// Where the chunk has left the ring, or never was, exact is false and it is that of Join.
func (f *Feed) After(seq uint64) (c *Cursor, exact bool) {
	c = f.Join()
	f.ring.mu.RLock()
	defer f.ring.mu.RUnlock()
	if r := f.ring; seq+1 >= r.tail && seq < r.head {
		c.next, c.init, c.back = seq+1, r.initOf(seq), true
		return c, true
	}
	return c, false
}

// OldestHeld returns the sequence of the oldest chunk that the feed holds.
func (f *Feed) OldestHeld() uint64 { return f.ring.oldest() }

// Info is what the init section in force says; nil where there is none yet.
func (f *Feed) Info() *Info {
	f.ring.mu.RLock()
	defer f.ring.mu.RUnlock()
	if n := len(f.ring.inits); n > 0 {
		return f.ring.inits[n-1].Info
	}
	return nil
}

// Codecs are those of the init section in force, by RFC 6381; empty where there is none yet.
func (f *Feed) Codecs() string {
	if i := f.Info(); i != nil {
		return i.Codecs
	}
	return ""
}

// Done is closed when the stream has ended. Chunks may remain to be read.
func (f *Feed) Done() <-chan struct{} { return f.done }

// run reads the stream until it ends, and returns how.
func (f *Feed) run(ctx context.Context, first uint64) error {
	place, err := f.all.opts.Open(ctx, f.name, false)
	if err != nil {
		f.forget()
		f.open(err)
		return err
	}
	f.done = place.Done()
	f.open(nil)
	c := &cutter{emit: f.ring.append, seq: first, silentTrack: f.all.opts.SilentTrack, warn: f.warn}
	for place != nil {
		c.expect(place)
		read := c.read
		err = f.cut(ctx, place, c)
		place = f.again(ctx, err, c.read == read)
	}
	var refused *CodecError
	switch {
	case errors.As(err, &refused):
		return err
	case ctx.Err() != nil:
		return ErrClosed
	}
	c.finish()
	f.all.opts.Log.Debug("feed ended", "stream", f.name, "reason", err)
	return fmt.Errorf("%w: %w", ErrEnded, err)
}

// open tells those who wait that the feed runs, or why it does not. Only its first call counts.
func (f *Feed) open(err error) {
	f.opening.Do(func() {
		f.err = err
		close(f.opened)
	})
}

// again is the place that follows one that ended with err; nil where none does. idle tells that
// it gave nothing new: what follows is not there yet.
func (f *Feed) again(ctx context.Context, err error, idle bool) egress.Subscription {
	if !f.all.opts.Again(err) {
		return nil
	}
	if idle {
		wait := time.NewTimer(Most / 5)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done():
			return nil
		}
	}
	next, err := f.all.opts.Open(ctx, f.name, true)
	if err != nil {
		return nil
	}
	if next.Done() != f.done { // another stream of the same name has another clock
		next.Close()
		return nil
	}
	return next
}

// cut reads one place until its error.
func (f *Feed) cut(ctx context.Context, place egress.Subscription, c *cutter) error {
	defer place.Close()
	for {
		packets, err := place.Read(ctx)
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

// warn tells of audio that had to be taken out.
func (f *Feed) warn(codec packetbuf.Codec) {
	f.all.opts.Log.Warn("audio taken out of fMP4 until it returns: no silent frame is known for its codec", "stream", f.name, "codec", codec.String())
}
