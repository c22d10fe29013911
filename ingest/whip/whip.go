// Package whip receives publishers over WebRTC: WHIP, RFC 9725. What browsers and encoders send
// as RTP becomes access units on one clock, whole and in order.
package whip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
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
	o Options

	mu       sync.Mutex // guards what follows
	sessions map[*session]struct{}
	closed   bool
	running  sync.WaitGroup
}

// New returns a server without sessions.
func New(o Options) *Server {
	o.normalize()
	s := &Server{o: o, sessions: map[*session]struct{}{}}
	s.Handler = signal.New(signal.Options{Kind: "whip", Open: s.open, Problem: o.Problem, Remote: o.Remote, Links: o.Links, Log: o.Log})
	return s
}

var errClosed = &ingest.Refusal{Outcome: ingest.RefusedLimit, Reason: "the relay is shutting down", Hint: "try again in a moment", RetryAfter: time.Second}

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
	if !s.add(ses) {
		release()
		return nil, "", errClosed
	}
	answer, err := ses.begin(ctx, r)
	if err != nil {
		ses.end(ingest.Protocol, err.Error())
		return nil, "", err
	}
	return ses, answer, nil
}

func (s *Server) add(ses *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.sessions[ses] = struct{}{}
	s.running.Add(1)
	return true
}

func (s *Server) remove(ses *session) {
	s.mu.Lock()
	delete(s.sessions, ses)
	s.mu.Unlock()
	s.running.Done()
}

// Close ends all sessions and waits for them, or until ctx is done.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	all := make([]*session, 0, len(s.sessions))
	for ses := range s.sessions {
		all = append(all, ses)
	}
	s.mu.Unlock()
	for _, ses := range all {
		ses.Close(ingest.Kick, "the relay is shutting down")
	}
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("WHIP sessions: %w", ctx.Err())
	}
}
