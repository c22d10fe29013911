// Package whep sends streams to viewers over WebRTC: WHEP (draft-ietf-wish-whep). A stream's
// packets become RTP once for all viewers; a viewer has numbers and keys of its own.
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

// Protocol is its name in metrics.
const Protocol = "whep"

// Subscription is a viewer's subscription to a stream. What Admission returns has to implement it.
type Subscription interface {
	egress.Subscription
	// Config is the configuration of a track that is in force; nil where there is none.
	Config(packetbuf.Track) *packetbuf.Packet
	// VideoCodec returns the codec of the video; NoCodec where there is none yet.
	VideoCodec() packetbuf.Codec
	// RequestKey asks the publisher for a keyframe; false where it cannot be asked.
	RequestKey() bool
	// Reorders tells whether the publisher sends B pictures.
	Reorders() bool
	// Rewind goes back to the newest keyframe.
	Rewind() bool
}

// Options are what a Server needs.
type Options struct {
	Admission egress.Admission
	HTTP      egress.HTTP
	Metrics   egress.Metrics
	Sockets   *rtcsock.Sockets
	// Connect is how long a viewer may take from its answer to its connection [10s].
	Connect time.Duration
	// Take counts a session against the bounds of the relay; release is called once.
	Take    func(remote string) (release func(), refusal *signal.Refusal)
	Repeats *atomic.Uint64 // packets sent again
	// Links returns the values of Link headers that name ICE servers. It may be nil.
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

// Server serves /{app}/{name}/whep and the sessions beneath it.
type Server struct {
	*signal.Handler
	o        Options
	count    atomic.Uint64
	sent     *atomic.Uint64 // bytes of RTP payload
	register signal.Register

	mu     sync.Mutex           // guards what follows
	warned map[string]time.Time // of B pictures, by stream
}

// New returns a server without viewers.
func New(o Options) *Server {
	o.normalize()
	s := &Server{o: o, sent: o.Metrics.SentBytes(Protocol), warned: map[string]time.Time{}}
	problem := func(w http.ResponseWriter, status int, reason, hint string) {
		o.HTTP.Problem(w, status, reason, hint, "")
	}
	s.Handler = signal.New(signal.Options{Kind: Protocol, Open: s.open, Problem: problem, Detailed: o.HTTP.Problem, Remote: o.HTTP.Remote, Links: o.Links, Log: o.Log})
	return s
}

// open answers an offer and counts the outcome.
func (s *Server) open(ctx context.Context, r signal.Request) (signal.Session, string, error) {
	v, answer, err := s.answer(ctx, r)
	s.o.Metrics.Joined(Protocol, err)
	if err != nil {
		return nil, "", err
	}
	return v, answer, nil
}

// answer answers an offer: what it can take, then whether it may, then how.
func (s *Server) answer(ctx context.Context, r signal.Request) (*viewer, string, error) {
	begun := time.Now()
	w, err := readOffer(r.Offer)
	if err != nil {
		return nil, "", err
	}
	release, refusal := s.o.Take(r.Remote)
	if refusal != nil {
		return nil, "", refusal
	}
	place, err := s.join(ctx, r)
	if err != nil {
		release()
		return nil, "", err
	}
	v := newViewer(s, r, place, begun, release)
	left, ok := s.register.Add(v.cancel)
	if !ok {
		v.cancel()
		place.Close()
		release()
		return nil, "", signal.Closing()
	}
	v.left = left
	answer, err := v.answer(ctx, r.Offer, w)
	if err != nil {
		v.end()
		return nil, "", err
	}
	if notices := s.notices(v, r.App+"/"+r.Name); notices != "" {
		r.Notice(notices)
	}
	go v.run()
	return v, answer, nil
}

// join subscribes a viewer.
func (s *Server) join(ctx context.Context, r signal.Request) (Subscription, error) {
	joined, _, err := s.o.Admission.Join(ctx, egress.Request{
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

// Close ends all viewers and waits for them, or until ctx is done.
func (s *Server) Close(ctx context.Context) error { return s.register.Close(ctx) }

// notices are what a viewer is told about what it will not see or hear.
func (s *Server) notices(v *viewer, stream string) string {
	var out []string
	if v.video != nil && v.place.Reorders() {
		out = append(out, bNotice)
		s.warn(stream)
	}
	if v.audio != nil && v.place.Config(packetbuf.Audio) != nil && !v.place.Has(packetbuf.Audio) {
		out = append(out, noSound)
	}
	return strings.Join(out, " ")
}

// noSound is what a viewer is told where sound cannot be put into Opus.
const noSound = "This stream is without sound here: it would have to be put into Opus, and the relay has no ffmpeg to do it."

// bNotice is what a viewer of a stream with B pictures is told.
const bNotice = "This stream has B-frames, which browsers cannot show over WebRTC: they are left out, so the picture moves less smoothly. " +
	"Publish without them (OBS: Max B-frames 0, x264: bf=0), or watch a transcode."

// warnEvery is how often one stream is warned of.
const warnEvery = 10 * time.Minute

// warn tells the operator that viewers see less of a stream than there is.
func (s *Server) warn(stream string) {
	const most = 1000 // streams that are remembered
	now := time.Now()
	s.mu.Lock()
	due := now.Sub(s.warned[stream]) >= warnEvery
	if due {
		if len(s.warned) >= most {
			clear(s.warned)
		}
		s.warned[stream] = now
	}
	s.mu.Unlock()
	if due {
		s.o.Log.Warn("B-frames are left out for WHEP viewers", "stream", stream,
			"hint", "publish without them (OBS: Max B-frames 0, x264: bf=0), or have viewers watch a rendition from transcode")
	}
}
