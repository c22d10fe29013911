// Package whep sends streams to viewers over WebRTC with WHEP (draft-ietf-wish-whep). A stream is
// packetized once for all viewers. Each viewer has its own RTP sequence numbers, timestamps and
// SRTP keys.
package whep

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/ingest/rtcsock/signal"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// Protocol is the name of the protocol in metrics.
const Protocol = "whep"

// Subscription is a viewer's subscription to a stream. Options.Admission must return subscriptions
// of this type.
type Subscription interface {
	egress.Subscription
	// Config returns a track's configuration in force, or nil if there is none.
	Config(packetbuf.Track) *packetbuf.Packet
	// VideoCodec returns the video codec, or NoCodec if it is not yet known.
	VideoCodec() packetbuf.Codec
	// RequestKey requests a keyframe from the publisher. It returns false if the publisher cannot
	// be asked.
	RequestKey() bool
	// Reorders reports whether the publisher sends B-frames.
	Reorders() bool
	// Rewind moves back to the newest keyframe. It returns false if there is none.
	Rewind() bool
}

// Options configure a Server.
type Options struct {
	Admission egress.Admission
	HTTP      egress.HTTP
	Metrics   egress.Metrics
	Sockets   *rtcsock.Sockets
	// Connect is how long a viewer may take to connect after the answer. The default is 10 seconds.
	Connect time.Duration
	// Take counts a session against the limits of the relay, or refuses it. release must be called
	// once.
	Take    func(remote string) (release func(), refusal *signal.Refusal)
	Repeats *atomic.Uint64 // packets that were resent
	// Links returns the values of the Link headers that announce ICE servers. It may be nil.
	Links func() []string
	Log   *slog.Logger
}

func (o *Options) normalize() {
	if o.Connect == 0 {
		o.Connect = 10 * time.Second
	}
	if o.Take == nil {
		o.Take = func(string) (func(), *signal.Refusal) { return func() {}, nil }
	}
	if o.Repeats == nil {
		o.Repeats = &atomic.Uint64{}
	}
	if o.Links == nil {
		o.Links = func() []string { return nil }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Server serves /{app}/{name}/whep and the sessions under it.
type Server struct {
	*signal.Handler
	opts     Options
	count    atomic.Uint64
	sent     *atomic.Uint64 // bytes of RTP payload
	register signal.Register

	mu     sync.Mutex           // guards warned
	warned map[string]time.Time // when B-frames were last logged, by stream
}

// New returns a server without viewers.
func New(o Options) *Server {
	o.normalize()
	s := &Server{opts: o, sent: o.Metrics.SentBytes(Protocol), warned: map[string]time.Time{}}
	problem := func(w http.ResponseWriter, status int, reason, hint string) {
		o.HTTP.Problem(w, status, reason, hint, "")
	}
	s.Handler = signal.New(signal.Options{Kind: Protocol, Open: s.open, Problem: problem, Detailed: o.HTTP.Problem, Remote: o.HTTP.Remote, Links: o.Links, Log: o.Log})
	return s
}

// open answers an offer and counts the outcome.
func (s *Server) open(ctx context.Context, r signal.Request) (signal.Session, string, error) {
	v, answer, err := s.answer(ctx, r)
	s.opts.Metrics.Joined(Protocol, err)
	if err != nil {
		return nil, "", err
	}
	return v, answer, nil
}

// answer parses the offer, admits the viewer, and answers the offer.
func (s *Server) answer(ctx context.Context, r signal.Request) (*viewer, string, error) {
	start := time.Now()
	w, err := readOffer(r.Offer)
	if err != nil {
		return nil, "", err
	}
	release, refusal := s.opts.Take(r.Remote)
	if refusal != nil {
		return nil, "", refusal
	}
	sub, err := s.join(ctx, r)
	if err != nil {
		release()
		return nil, "", err
	}
	v := newViewer(s, r, sub, start, release)
	left, ok := s.register.Add(v.cancel)
	if !ok {
		v.cancel()
		sub.Close()
		release()
		return nil, "", signal.Closing()
	}
	v.unregister = left
	answer, err := v.answer(ctx, r.Offer, w)
	if err != nil {
		v.close()
		return nil, "", err
	}
	if notices := s.notices(v, r.App+"/"+r.Name); notices != "" {
		r.Notice(notices)
	}
	go v.run()
	return v, answer, nil
}

// join subscribes a viewer to the stream.
func (s *Server) join(ctx context.Context, r signal.Request) (Subscription, error) {
	joined, _, err := s.opts.Admission.Join(ctx, egress.Request{
		App: r.App, Name: r.Name, Token: r.Secret, Protocol: Protocol, Remote: r.Remote, Agent: r.Agent,
		Audio: []packetbuf.Codec{packetbuf.Opus}, ReportsOutcome: true,
	})
	if err != nil {
		return nil, err
	}
	sub, ok := joined.(Subscription)
	if !ok {
		joined.Close()
		return nil, fmt.Errorf("a subscription of type %T has no keyframe requests", joined)
	}
	return sub, nil
}

// Close ends all viewers and waits for them, but not after ctx is done.
func (s *Server) Close(ctx context.Context) error { return s.register.Close(ctx) }

// notices returns the notices for a viewer about missing audio and dropped frames, or "" if there
// are none.
func (s *Server) notices(v *viewer, stream string) string {
	var out []string
	if v.video != nil && v.sub.Reorders() {
		out = append(out, bFramesNotice)
		s.warnBFrames(stream)
	}
	if v.audio != nil && v.sub.Config(packetbuf.Audio) != nil && !v.sub.Has(packetbuf.Audio) {
		out = append(out, noAudioNotice)
	}
	return strings.Join(out, " ")
}

// noAudioNotice is the notice for audio that cannot be transcoded to Opus.
const noAudioNotice = "This stream has no audio over WebRTC: it would have to be transcoded to Opus, and the relay has no ffmpeg."

// bFramesNotice is the notice for a stream with B-frames.
const bFramesNotice = "This stream has B-frames, which browsers cannot play over WebRTC: they are left out, so motion is less smooth. " +
	"Publish without them (OBS: Max B-frames 0, x264: bf=0), or watch a transcode."

// warnInterval is the minimum interval between warnings about one stream.
const warnInterval = 10 * time.Minute

// warnBFrames logs that WHEP viewers do not receive the B-frames of a stream.
func (s *Server) warnBFrames(stream string) {
	const most = 1000 // maximum number of streams in warned
	now := time.Now()
	s.mu.Lock()
	due := now.Sub(s.warned[stream]) >= warnInterval
	if due {
		if len(s.warned) >= most {
			clear(s.warned)
		}
		s.warned[stream] = now
	}
	s.mu.Unlock()
	if due {
		s.opts.Log.Warn("B-frames are left out for WHEP viewers", "stream", stream,
			"hint", "publish without them (OBS: Max B-frames 0, x264: bf=0), or have viewers watch a rendition from transcode")
	}
}
