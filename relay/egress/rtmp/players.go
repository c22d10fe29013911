package rtmp

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// Options configure Players. All fields are required.
type Options struct {
	Admission    egress.Admission
	Metrics      egress.Metrics
	WriteTimeout func(app, name string) time.Duration
	// EndReason returns the reason to send to a player if err, an error of a Reader, means that the
	// stream has ended. Otherwise ended is false.
	EndReason func(err error) (reason string, ended bool)
	Log       *slog.Logger
}

// Players serves RTMP players.
type Players struct{ opts Options }

// New returns Players.
func New(o Options) *Players { return &Players{opts: o} }

// Play serves one player until its stream ends, the player leaves or ctx is done. It is meant for
// rtmpconn.Options.OnPlay, and returns the error that OnPlay must return.
func (p *Players) Play(ctx context.Context, r rtmpconn.PlayRequest, player *rtmpconn.Player) error {
	begun := time.Now()
	sub, _, err := p.opts.Admission.Join(ctx, egress.Request{
		App: r.App, Name: r.Name, Token: r.Token, Protocol: r.Protocol, Remote: r.Remote, Agent: r.Agent,
		Audio: audioCodecs(r), Begin: egress.AtRecovery,
	})
	if err != nil {
		return err
	}
	defer sub.Close()
	player.SetWriteTimeout(p.opts.WriteTimeout(r.App, r.Name))
	if err := player.Start(); err != nil {
		return err
	}
	log := func() *slog.Logger {
		return p.opts.Log.With("protocol", r.Protocol, "stream", r.App+"/"+r.Name, "session", r.SessionID)
	}
	err = Serve(ctx, announcedVideo(sub, r.Codecs), player, egress.Meter{
		Bytes: p.opts.Metrics.SentBytes(r.Protocol), Skipped: egress.NewSkipLog(log),
		Started: func() { p.opts.Metrics.FirstMedia(r.Protocol, time.Since(begun)) },
	})
	egress.Left(context.WithoutCancel(ctx), log(), err)
	var codec *CodecError
	if errors.As(err, &codec) {
		return codec.playError()
	}
	if reason, ended := p.opts.EndReason(err); ended {
		player.End(reason)
	}
	return err
}
