package link

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// reachHTTP has the feed read an HTTP response.
func (f *Feed) reachHTTP() error {
	return f.dial.follow(func(answer *http.Response) error {
		f.taken = &taken{}
		f.source = &httpSource{
			taken: f.taken, tags: flv.NewReader(answer.Body, 0),
			ends: answer.ContentLength >= 0 || slices.Contains(answer.TransferEncoding, "chunked"),
		}
		return f.first()
	})
}

// httpSource is the body of a response that is an FLV stream.
type httpSource struct {
	taken *taken
	tags  *flv.Reader
	ends  bool // the body tells where it ends
}

// fill takes the next tag.
func (s *httpSource) fill(time.Duration) error {
	tag, err := s.tags.Next()
	switch {
	case errors.Is(err, io.EOF) && s.ends:
		if !s.taken.media {
			return fmt.Errorf("%w: no media in it", ErrUnpublished)
		}
		return ErrUnpublished
	case err != nil:
		return err
	}
	track, ok := flv.TrackOf(tag.Type)
	if !ok {
		return nil
	}
	return s.taken.body(track, tag.Timestamp, tag.Body)
}
