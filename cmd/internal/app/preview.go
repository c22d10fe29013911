package app

import (
	"context"
	"errors"
	"slices"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/api"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
)

// wirePreviews makes what cuts pictures for the API. Its feeds begin at the newest keyframe, not
// at the oldest that the buffer has, and end with the one who asked.
func (a *App) wirePreviews() {
	newest := func(ctx context.Context, name string, _ bool) (egress.Place, error) {
		return a.relay.feed(ctx, name, true)
	}
	a.previews = cmaf.New(cmaf.Options{Open: newest, Limits: a.settings.chunks, Linger: 1, Log: component(a.log, "cmaf")})
}

// preview is a stream's newest keyframe with what is in its chunk.
func (a *App) preview(ctx context.Context, name string) (api.Picture, error) {
	feed, err := a.previews.Use(ctx, name)
	if err != nil {
		return api.Picture{}, err
	}
	defer feed.Release()
	chunks, err := feed.Join().Next(ctx)
	var codec *cmaf.CodecError
	switch {
	case errors.As(err, &codec):
		return api.Picture{}, &ingest.Refusal{Reason: err.Error(), Hint: "play the stream over RTMP or HTTP-FLV"}
	case err != nil:
		return api.Picture{}, err
	case len(chunks) < 2 || chunks[0].Info.Video == packetbuf.NoCodec:
		return api.Picture{}, &ingest.Refusal{Reason: "the stream " + name + " has no pictures", Hint: "listen to it"}
	}
	return api.Picture{Codecs: chunks[0].Info.Codecs, Data: slices.Concat(chunks[0].Data, chunks[1].Data)}, nil
}
