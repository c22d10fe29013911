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
	"github.com/holdfast-live/holdfast/packetbuf/resume"
	"github.com/holdfast-live/holdfast/qos/prom"
	"github.com/holdfast-live/holdfast/relay/auth"
	"github.com/holdfast-live/holdfast/relay/egress"
	egressrtmp "github.com/holdfast-live/holdfast/relay/egress/rtmp"
	"github.com/holdfast-live/holdfast/relay/hook"
	"github.com/holdfast-live/holdfast/relay/hub"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// publishing counts what becomes of each request to publish. The listener logs refusals.
type publishing struct {
	next    ingest.Access
	metrics *prom.Metrics
	pushes  func(remote string) string            // the stream that the relay itself pushes from there; may be nil
	refused func(ingest.Request, *ingest.Refusal) // told of each refusal; may be nil
	secrets *secrets                              // nil: none is known
	rules   auth.Rules                            // where there are secrets: which streams need a key
	log     *slog.Logger                          // where there are secrets
}

// Publish implements ingest.Access.
func (p publishing) Publish(ctx context.Context, r ingest.Request) (ingest.Sink, error) {
	r.Agent = p.secrets.hide(r.Agent) // the API, hooks and events show it
	sink, err := p.publish(ctx, r)
	var refusal *ingest.Refusal
	switch {
	case err == nil:
		p.metrics.Session(r.Protocol, string(ingest.Accepted))
	case errors.As(err, &refusal):
		p.metrics.Session(r.Protocol, string(refusal.Outcome))
		if p.refused != nil {
			p.refused(r, refusal)
		}
	}
	return sink, err
}

// publish refuses a push of the relay to itself: it would take over the stream that it is.
func (p publishing) publish(ctx context.Context, r ingest.Request) (ingest.Sink, error) {
	if name, err := ingest.StreamName(r.App, r.Name); err == nil && p.pushes != nil && p.pushes(r.Remote) == name {
		return nil, &ingest.Refusal{
			Outcome: ingest.RefusedKey, Reason: "this is the relay that pushes " + name + ": it would push it to itself",
			Hint: "change the URL of the push group's route",
		}
	}
	if err := p.keyAsName(r); err != nil {
		return nil, err
	}
	return p.next.Publish(ctx, r)
}

// playing gives viewers their place, if they may.
type playing struct {
	hub     *hub.Hub
	rules   auth.Rules
	tokens  *auth.Players
	metrics *prom.Metrics
	sealer  *resume.Sealer
	turns   turns
	unknown unknownNames
	hooks   *hook.Hooks // nil: nobody is asked
	secrets *secrets    // nil: none is known
	// returning has the streams that are expected back after a restart.
	returning *hub.Returning
}

// The outcomes of a request to play.
const (
	joined       = "joined"
	notLive      = "not_live"
	refusedName  = "refused_name"
	refusedKey   = "refused_key"
	refusedCodec = "refused_codec"
	refusedBusy  = "refused_limit"
	noKeyframe   = string(ingest.NoKeyframe)
)

func joinOutcomes() []string {
	return []string{joined, notLive, refusedName, refusedKey, refusedCodec, refusedBusy, noKeyframe}
}

// Play implements egress.Streams.
func (p *playing) Play(ctx context.Context, r egress.Request) (egress.Place, error) {
	place, err := p.play(ctx, r)
	p.metrics.Joined(r.Protocol, outcome(err))
	if err != nil {
		return nil, err
	}
	return place, nil
}

func (p *playing) play(ctx context.Context, r egress.Request) (*stream.Reader, error) {
	place, _, _, err := p.admit(ctx, r)
	return place, err
}

func outcome(err error) string {
	var refusal *ingest.Refusal
	switch {
	case err == nil:
		return joined
	case !errors.As(err, &refusal) || refusal.NotLive:
		return notLive
	case refusal.Outcome == ingest.RefusedKey:
		return refusedKey
	case refusal.Outcome == ingest.RefusedCodec:
		return refusedCodec
	case refusal.Outcome == ingest.RefusedName:
		return refusedName
	case refusal.Outcome == ingest.NoKeyframe:
		return noKeyframe
	}
	return refusedBusy
}

// players serves RTMP players that the listener hands on.
type players struct {
	streams  egress.Streams
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
func pictures(r rtmp.PlayRequest, place egress.Place) egress.Reader {
	if r.Codecs == nil {
		return place
	}
	return egressrtmp.Only(place, func(c packetbuf.Codec) bool { return r.Codecs.Has(packetbuf.Video, c) })
}

// Play implements rtmp.Plays.
func (p *players) Play(ctx context.Context, r rtmp.PlayRequest, c *rtmp.PlayConn) error {
	started := p.started(r.Protocol)
	place, err := p.streams.Play(ctx, egress.Request{
		App: r.App, Name: r.Name, Token: r.Token, Protocol: r.Protocol, Remote: r.Remote, Agent: r.Agent,
		Sound: sound(r),
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
