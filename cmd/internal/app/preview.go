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

// wirePreviews makes what cuts pictures for the API. Its feeds begin at the newest keyframe, not
// at the oldest that the buffer has, and end with the one who asked.
func (a *App) wirePreviews() {
	newest := func(ctx context.Context, name string, _ bool) (egress.Subscription, error) {
		place, err := a.relay.feed(ctx, name, true)
		if err != nil {
			return nil, err
		}
		return &glance{Subscription: place}, nil
	}
	a.previews = cmaf.New(cmaf.Options{Open: newest, Limits: a.settings.chunks, Linger: 1, Memory: a.relay.memory.Budget, Log: component(a.log, "cmaf")})
}

// preview is a stream's newest keyframe with what is in its chunk.
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
		return api.Picture{}, &ingest.Refusal{Reason: "the stream " + name + " has no pictures", Hint: "listen to it"}
	}
	return api.Picture{Codecs: chunks[0].Info.Codecs, Data: slices.Concat(chunks[0].Data, chunks[1].Data)}, nil
}

// glanced is how much media a picture is taken from: more than a chunk holds, also where made
// pictures stand a second apart.
const glanced = 1100 * time.Millisecond

// errGlanced ends a place of which enough was seen.
var errGlanced = errors.New("it was glanced at")

// glance is a place on a stream that ends soon after it began. A feed would go on to the live
// edge before it is given up, and what it cuts is copied: of a long GOP all that the buffer has.
// It ends also where nothing more comes: a chunk is whole when the next begins, or at the end.
type glance struct {
	egress.Subscription
	begun, over bool
	until       time.Duration // DTS
	came        time.Time     // when media came last
}

// Read implements egress.Reader.
func (g *glance) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if g.over {
		return nil, errGlanced
	}
	packets, err := g.Subscription.Read(ctx)
	now := time.Now()
	for _, p := range packets {
		if p.Kind == packetbuf.Config || p.Track == packetbuf.Data {
			continue
		}
		if !g.begun {
			g.begun, g.until = true, p.DTS+glanced
		}
		g.came, g.over = now, g.over || p.DTS >= g.until
	}
	g.over = g.over || g.begun && now.Sub(g.came) >= glanced
	return packets, err
}
