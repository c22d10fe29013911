package app

import (
	"github.com/holdfast-live/holdfast/relay/rendition"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// open subscribes an audio bridge to the stream name; see rendition.BridgeOptions.
func (r *relay) open(name string) (rendition.Tap, rendition.Bridged, error) {
	s := r.hub.Find(name)
	if s == nil {
		return nil, nil, stream.ErrNotLive
	}
	tap, err := s.Tap(0)
	if err != nil {
		return nil, nil, err
	}
	return tap, s, nil
}
