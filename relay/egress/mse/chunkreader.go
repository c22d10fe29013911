package mse

import (
	"context"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
)

// chunkReader reads the chunks of a feed for one viewer.
type chunkReader struct {
	feed   *cmaf.Feed
	cursor *cmaf.Cursor

	ready   []*cmaf.Chunk // chunks already read; next returns them first
	skipped bool          // the next chunks do not follow the previous ones
}

const (
	// maxLiveAge is the maximum age of the newest chunk if the reader has reached the live edge. If
	// frames are less frequent, catchUpWait decides.
	maxLiveAge = 300 * time.Millisecond
	// catchUpWait is the time without a new chunk after which all buffered media counts as read.
	catchUpWait = 100 * time.Millisecond
)

// join returns a reader at the newest independent chunk. A new feed first cuts the media in the
// stream's buffer. A viewer that began before the end of that would have to skip at once, so join
// waits for it.
func join(ctx context.Context, feed *cmaf.Feed) (*chunkReader, error) {
	s := &chunkReader{feed: feed, cursor: feed.Join()}
	var err error
	if s.ready, err = poll(s.cursor); err != nil || live(s.ready) {
		return s, err
	}
	for {
		within, cancel := context.WithTimeout(ctx, catchUpWait)
		chunks, err := s.cursor.Next(within)
		late := within.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && !late:
			return nil, err
		case err != nil || live(chunks):
			return &chunkReader{feed: feed, cursor: feed.Join()}, nil
		}
	}
}

// live reports whether the last of the chunks is at the live edge.
func live(chunks []*cmaf.Chunk) bool {
	return len(chunks) > 0 && time.Since(chunks[len(chunks)-1].Arrived) < maxLiveAge
}

// resumeAfter returns a reader after the chunk with sequence number after. It returns nil if the
// chunk that follows is no longer available.
func resumeAfter(feed *cmaf.Feed, after uint64) *chunkReader {
	cursor, exact := feed.After(after)
	if !exact {
		return nil
	}
	s := &chunkReader{feed: feed, cursor: cursor}
	s.ready, _ = poll(cursor) // Next returns the error again
	if cursor.Skipped() {     // the chunk has left the ring meanwhile
		return nil
	}
	return s
}

// canceled is a context that is already canceled.
var canceled = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// poll returns the available chunks without blocking. If there are none, it returns nil and no
// error.
func poll(c *cmaf.Cursor) ([]*cmaf.Chunk, error) {
	chunks, err := c.Next(canceled)
	if err == canceled.Err() { //nolint:errorlint // identity: how a feed ended may wrap the same error
		return nil, nil
	}
	return chunks, err
}

// codecs returns the codecs of the next chunks. If they are unknown, it waits for a chunk.
func (s *chunkReader) codecs(ctx context.Context) (string, error) {
	if s.ready == nil {
		s.ready, _ = poll(s.cursor) // Next returns the error again
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

// next waits for chunks, which are valid until the next call. skipped reports whether chunks are
// missing before them.
func (s *chunkReader) next(ctx context.Context) (chunks []*cmaf.Chunk, skipped bool, err error) {
	if chunks = s.ready; chunks != nil {
		s.ready = nil
	} else if chunks, err = s.cursor.Next(ctx); err != nil {
		return nil, false, err
	}
	skipped, s.skipped = s.skipped || s.cursor.Skipped(), false
	return chunks, skipped, nil
}

// skip moves to the newest independent chunk and its init section.
func (s *chunkReader) skip() { *s = chunkReader{feed: s.feed, cursor: s.feed.Join(), skipped: true} }
