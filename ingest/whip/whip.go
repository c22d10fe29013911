// Package whip receives publishers over WebRTC: WHIP, RFC 9725. What browsers and encoders send
// as RTP becomes access units on one clock, whole and in order.
package whip

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/ingest/rtcsock/signal"
)

// Options are what a Server needs.
type Options struct {
	Access  ingest.Access
	Sockets *rtcsock.Sockets
	// Connect is how long a peer may take from its answer to its connection [10s].
	Connect time.Duration
	// FirstMedia is how long a publisher of a stream may take to its first media; a connection
	// has to be there before. 0: as long as Connect.
	FirstMedia func(app, name string) time.Duration
	// KeyframeInterval is how often a publisher is asked for a keyframe of a stream, which
	// browsers make only when asked; 0: when somebody needs one.
	KeyframeInterval func(app, name string) time.Duration
	// Take counts a session against the bounds of the relay; release is called once.
	Take func(remote string) (release func(), refusal *ingest.Refusal)
	// Counters count what happens too often for a log; nil: nowhere.
	Counters *Counters
	// Refused is told of a refusal that Access does not know of.
	Refused func(ingest.Outcome)
	Problem func(w http.ResponseWriter, status int, reason, hint string)
	Remote  func(*http.Request) string
	Links   func() []string
	Log     *slog.Logger
}

// Counters count the RTP packets of all publishers.
type Counters struct {
	Asked atomic.Uint64 // for again
	Lost  atomic.Uint64 // that never came
}

func (o *Options) normalize() {
	if o.Counters == nil {
		o.Counters = &Counters{}
	}
	if o.Connect == 0 {
		o.Connect = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.KeyframeInterval == nil {
		o.KeyframeInterval = func(string, string) time.Duration { return 0 }
	}
	if o.FirstMedia == nil {
		o.FirstMedia = func(string, string) time.Duration { return 0 }
	}
	if o.Take == nil {
		o.Take = func(string) (func(), *ingest.Refusal) { return func() {}, nil }
	}
	if o.Refused == nil {
		o.Refused = func(ingest.Outcome) {}
	}
	if o.Links == nil {
		o.Links = func() []string { return nil }
	}
}

// Server serves /{app}/{name}/whip and the sessions beneath it.
type Server struct {
	*signal.Handler
	o        Options
	register signal.Register
}

// New returns a server without sessions.
func New(o Options) *Server {
	o.normalize()
	s := &Server{o: o}
	s.Handler = signal.New(signal.Options{Kind: "whip", Open: s.open, Problem: o.Problem, Remote: o.Remote, Links: o.Links, Log: o.Log})
	return s
}

// open answers an offer: what it may send, then who may send it, then how.
func (s *Server) open(ctx context.Context, r signal.Request) (signal.Session, string, error) {
	offer, err := readOffer(r.Offer)
	if err != nil {
		if refusal := (*ingest.Refusal)(nil); errors.As(err, &refusal) {
			s.o.Refused(refusal.Outcome)
		}
		return nil, "", err
	}
	release, refusal := s.o.Take(r.Remote)
	if refusal != nil {
		s.o.Refused(refusal.Outcome)
		return nil, "", refusal
	}
	ses := newSession(s, r, offer, release)
	left, ok := s.register.Add(func() { ses.Close(ingest.Shutdown, "the relay is shutting down") })
	if !ok {
		release()
		return nil, "", signal.Closing()
	}
	ses.left = left
	answer, err := ses.begin(ctx, r)
	if err != nil {
		ses.end(ingest.Protocol, err.Error())
		return nil, "", err
	}
	return ses, answer, nil
}

// Close ends all sessions and waits for them, or until ctx is done.
func (s *Server) Close(ctx context.Context) error { return s.register.Close(ctx) }
