package app

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtmp"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/relay/egress"
	egressrtmp "github.com/holdfast-live/holdfast/relay/egress/rtmp"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// players serves RTMP players that the listener hands on.
type players struct {
	streams  egress.Admission
	settings *settings
	bytes    map[string]*atomic.Uint64
	started  func(protocol string) func()
	log      *slog.Logger
}

// sound is what a player takes: what it says, or all that FLV carries but Opus.
func sound(r rtmp.PlayRequest) (takes []packetbuf.Codec) {
	if r.Codecs == nil {
		return flv.Sounds()
	}
	for _, c := range append(flv.Sounds(), packetbuf.Opus) {
		if r.Codecs.Has(packetbuf.Audio, c) {
			takes = append(takes, c)
		}
	}
	return takes
}

// pictures yields the stream to a player as long as it is one that the player says it takes.
func pictures(r rtmp.PlayRequest, place egress.Subscription) egress.Reader {
	if r.Codecs == nil {
		return place
	}
	return egressrtmp.Only(place, func(c packetbuf.Codec) bool { return r.Codecs.Has(packetbuf.Video, c) })
}

// Play implements rtmp.Plays.
func (p *players) Play(ctx context.Context, r rtmp.PlayRequest, c *rtmp.PlayConn) error {
	started := p.started(r.Protocol)
	place, _, err := p.streams.Join(ctx, egress.Request{
		App: r.App, Name: r.Name, Token: r.Token, Protocol: r.Protocol, Remote: r.Remote, Agent: r.Agent,
		Audio: sound(r), Begin: egress.AtRecovery,
	})
	if err != nil {
		return err
	}
	defer place.Close()
	if name, err := ingest.StreamName(r.App, r.Name); err == nil {
		c.SetWriteTimeout(p.settings.get().Stream(name).Viewer.WriteTimeout)
	}
	if err := c.Start(); err != nil {
		return err
	}
	log := func() *slog.Logger {
		return p.log.With("protocol", r.Protocol, "stream", r.App+"/"+r.Name, "session", r.SessionID)
	}
	err = egressrtmp.Serve(ctx, pictures(r, place), c, egress.Meter{Bytes: p.bytes[r.Protocol], Started: started, Skipped: egress.NewSkipLog(log)})
	egress.Left(context.WithoutCancel(ctx), log(), err)
	var end *stream.EndError
	var codec *egressrtmp.CodecError
	switch {
	case errors.As(err, &end):
		c.End(end.Reason)
	case errors.As(err, &codec):
		return &ingest.Refusal{Outcome: ingest.RefusedCodec, Reason: codec.Error(), Hint: "play it with one that knows " + codec.Codec.String() + " in Enhanced RTMP, by HTTP-FLV or by HLS"}
	}
	return err
}
