package app

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/api"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
)

// wirePreviews creates the feeds for previews. Unlike other feeds, they begin at the newest keyframe, not
// at the oldest packet in the buffer, and end with the request.
func (a *App) wirePreviews() {
	newest := func(ctx context.Context, name string, _ bool) (egress.Subscription, error) {
		place, err := a.relay.feed(ctx, name, true)
		if err != nil {
			return nil, err
		}
		return &previewSubscription{Subscription: place}, nil
	}
	a.previews = cmaf.New(cmaf.Options{Open: newest, Limits: a.settings.chunks, Linger: 1, Memory: a.relay.memory.Budget, Log: component(a.log, "cmaf")})
}

// preview returns the chunk that begins with a stream's newest keyframe.
func (a *App) preview(ctx context.Context, name string) (api.Picture, error) {
	feed, err := a.previews.Acquire(ctx, name)
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
		return api.Picture{}, &ingest.Refusal{Reason: "the stream " + name + " has no video", Hint: "play its audio"}
	}
	return api.Picture{Codecs: chunks[0].Info.Codecs, Data: slices.Concat(chunks[0].Data, chunks[1].Data)}, nil
}

// previewLength is how much media a preview reads. It exceeds the duration of a chunk, even if the frames
// are generated ones a second apart.
const previewLength = 1100 * time.Millisecond

// errPreviewComplete is returned by a previewSubscription that has returned enough media.
var errPreviewComplete = errors.New("preview complete")

// previewSubscription is a subscription that ends once it has returned previewLength of media. Otherwise a
// feed would continue to the live edge before it is closed, and in a long GOP copy everything in the buffer.
// The subscription also ends when no more media arrives, because a chunk is complete only when the next one
// begins or the subscription ends.
type previewSubscription struct {
	egress.Subscription
	started, done bool
	until         time.Duration // DTS
	lastArrival   time.Time     // arrival of the last media
}

// Read implements egress.Reader.
func (g *previewSubscription) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if g.done {
		return nil, errPreviewComplete
	}
	packets, err := g.Subscription.Read(ctx)
	now := time.Now()
	for _, p := range packets {
		if p.Kind == packetbuf.Config || p.Track == packetbuf.Data {
			continue
		}
		if !g.started {
			g.started, g.until = true, p.DTS+previewLength
		}
		g.lastArrival, g.done = now, g.done || p.DTS >= g.until
	}
	g.done = g.done || g.started && now.Sub(g.lastArrival) >= previewLength
	return packets, err
}
