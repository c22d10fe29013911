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

// reachHTTP makes the feed read an HTTP response.
func (f *Feed) reachHTTP() error {
	return f.dial.follow(func(answer *http.Response) error {
		f.packets = &packetQueue{}
		f.source = &httpSource{
			packets: f.packets, tags: flv.NewReader(answer.Body, 0),
			bounded: answer.ContentLength >= 0 || slices.Contains(answer.TransferEncoding, "chunked"),
		}
		return f.waitForMedia()
	})
}

// httpSource is the body of an HTTP response that is an FLV stream.
type httpSource struct {
	packets *packetQueue
	tags    *flv.Reader
	bounded bool // the body has a length or is chunked, so its end is known
}

// fill implements source. It handles the next tag.
func (s *httpSource) fill(time.Duration) error {
	tag, err := s.tags.Next()
	switch {
	case errors.Is(err, io.EOF) && s.bounded:
		if !s.packets.media {
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
	return s.packets.takeBody(track, tag.Timestamp, tag.Body)
}
