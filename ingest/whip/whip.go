// Package whip receives publishers over WebRTC with WHIP (RFC 9725). It reassembles the RTP packets
// of browsers and encoders into complete access units, in order and with timestamps of one clock.
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

// Options configure a Server.
type Options struct {
	Access  ingest.Access
	Sockets *rtcsock.Sockets
	// Connect is how long a peer may take to connect after the answer [10s].
	Connect time.Duration
	// FirstMedia returns how long the first media of a stream's publisher may take; the publisher
	// must connect before that. 0 means that only Connect applies.
	FirstMedia func(app, name string) time.Duration
	// KeyframeInterval returns how often to request a keyframe from a stream's publisher, because
	// browsers send keyframes only on request. 0 means only when a viewer needs one.
	KeyframeInterval func(app, name string) time.Duration
	// Take counts a session from an address against the relay's limits, or refuses it. release must
	// be called once.
	Take func(remote string) (release func(), refusal *ingest.Refusal)
	// Counters counts RTP packets that were requested again or lost. It may be nil.
	Counters *Counters
	// Refused is called for refusals that do not come from Access.
	Refused func(ingest.Outcome)
	Problem func(w http.ResponseWriter, status int, reason, hint string)
	Remote  func(*http.Request) string
	Links   func() []string
	Log     *slog.Logger
}

// Counters counts RTP packets over all publishers.
type Counters struct {
	Asked atomic.Uint64 // requested again
	Lost  atomic.Uint64 // never received
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

// Server serves /{app}/{name}/whip and the sessions below it.
type Server struct {
	*signal.Handler
	options  Options
	register signal.Register
}

// New returns a server without sessions.
func New(o Options) *Server {
	o.normalize()
	s := &Server{options: o}
	s.Handler = signal.New(signal.Options{Kind: "whip", Open: s.open, Problem: o.Problem, Remote: o.Remote, Links: o.Links, Log: o.Log})
	return s
}

// open answers an offer: it parses the offer, takes a slot and starts a session.
func (s *Server) open(ctx context.Context, r signal.Request) (signal.Session, string, error) {
	offer, err := readOffer(r.Offer)
	if err != nil {
		if refusal := (*ingest.Refusal)(nil); errors.As(err, &refusal) {
			s.options.Refused(refusal.Outcome)
		}
		return nil, "", err
	}
	release, refusal := s.options.Take(r.Remote)
	if refusal != nil {
		s.options.Refused(refusal.Outcome)
		return nil, "", refusal
	}
	ses := newSession(s, r, offer, release)
	left, ok := s.register.Add(func() { ses.Close(ingest.Shutdown, "the relay is shutting down") })
	if !ok {
		release()
		return nil, "", signal.Closing()
	}
	ses.onReleased = left
	answer, err := ses.start(ctx, r)
	if err != nil {
		ses.abort(ingest.Protocol, err.Error())
		return nil, "", err
	}
	return ses, answer, nil
}

// Close ends all sessions and waits for them, but not after ctx is done.
func (s *Server) Close(ctx context.Context) error { return s.register.Close(ctx) }
