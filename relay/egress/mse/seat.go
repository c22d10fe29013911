package mse

import (
	"context"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
)

// seat is where a viewer stands among the chunks of a feed.
type seat struct {
	feed   *cmaf.Feed
	cursor *cmaf.Cursor

	ready   []*cmaf.Chunk // were looked at, and come next
	skipped bool          // the chunks that come next do not follow
}

const (
	// fresh is how old the newest chunk of a stream that goes on is at the most. Where pictures
	// are rarer, quiet tells.
	fresh = 300 * time.Millisecond
	// quiet is how long nothing comes where there is no more of the past.
	quiet = 100 * time.Millisecond
)

// join is a seat at the newest independent chunk. A feed that has just been made cuts what the
// stream's buffer has first, and whoever began in there would have to skip at once: that is
// waited for.
func join(ctx context.Context, feed *cmaf.Feed) (*seat, error) {
	s := &seat{feed: feed, cursor: feed.Join()}
	var err error
	if s.ready, err = poll(s.cursor); err != nil || present(s.ready) {
		return s, err
	}
	for {
		within, cancel := context.WithTimeout(ctx, quiet)
		chunks, err := s.cursor.Next(within)
		late := within.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && !late:
			return nil, err
		case err != nil || present(chunks):
			return &seat{feed: feed, cursor: feed.Join()}, nil
		}
	}
}

// present tells whether chunks reach up to now.
func present(chunks []*cmaf.Chunk) bool {
	return len(chunks) > 0 && time.Since(chunks[len(chunks)-1].Arrived) < fresh
}

// follow is the seat behind a chunk; nil where what follows it is not there any more.
func follow(feed *cmaf.Feed, after uint64) *seat {
	cursor, exact := feed.After(after)
	if !exact {
		return nil
	}
	s := &seat{feed: feed, cursor: cursor}
	s.ready, _ = poll(cursor) // an error comes again
	if cursor.Skipped() {     // it has left the ring meanwhile
		return nil
	}
	return s
}

// over is a context that waits for nothing.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// poll returns the chunks that are there now; none is no error.
func poll(c *cmaf.Cursor) ([]*cmaf.Chunk, error) {
	chunks, err := c.Next(over)
	if err == over.Err() { //nolint:errorlint // this very one: how a feed ended may wrap the same
		return nil, nil
	}
	return chunks, err
}

// codecs are those of what comes next, which is waited for where nothing tells.
func (s *seat) codecs(ctx context.Context) (string, error) {
	if s.ready == nil {
		s.ready, _ = poll(s.cursor) // an error comes again
	}
	if s.ready == nil {
		if codecs := s.feed.Codecs(); codecs != "" {
			return codecs, nil
		}
		var err error
		if s.ready, err = s.cursor.Next(ctx); err != nil {
			return "", err
		}
	}
	return s.ready[0].Info.Codecs, nil
}

// next waits for chunks, valid until it is called again. skipped tells that they do not follow
// those before.
func (s *seat) next(ctx context.Context) (chunks []*cmaf.Chunk, skipped bool, err error) {
	if chunks = s.ready; chunks != nil {
		s.ready = nil
	} else if chunks, err = s.cursor.Next(ctx); err != nil {
		return nil, false, err
	}
	skipped, s.skipped = s.skipped || s.cursor.Skipped(), false
	return chunks, skipped, nil
}

// skip goes on at the newest independent chunk, behind its init section.
func (s *seat) skip() { *s = seat{feed: s.feed, cursor: s.feed.Join(), skipped: true} }
