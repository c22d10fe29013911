package app

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf/resume"
	"github.com/holdfast-live/holdfast/relay/api"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/mse"
	"github.com/holdfast-live/holdfast/relay/egress/status"
)

// wireMSE makes what serves chunks over WebSocket.
func (a *App) wireMSE(board *status.Board) {
	a.mse = mse.New(mse.Options{
		Streams: sockets{a.viewing}, Feeds: a.feeds, Refuse: closing, Problem: api.Problem, Remote: a.settings.remote,
		Bytes: a.relay.sent[mse.Protocol], Skipped: &a.relay.skipped, Log: component(a.log, "http"),
		Joined: func(took time.Duration) { a.metrics.Started(mse.Protocol, took) },
		State: func(stream string) (any, <-chan struct{}) {
			if w := board.Watch(stream); w != nil {
				return w.Status(time.Now())
			}
			return nil, nil
		},
		Resumed: func(outcome string) { a.metrics.ViewerResumed(mse.Protocol, outcome) },
		Settings: func(stream string) mse.Settings {
			c := a.settings.get().Stream(stream)
			return mse.Settings{WriteTimeout: c.Viewer.WriteTimeout, Lag: c.Viewer.Lag, Heartbeat: fixed(c.Heartbeat)}
		},
	})
}

// sockets lets in those who play chunks and may come back to them.
type sockets struct{ *playing }

// Enter implements mse.Streams.
func (s sockets) Enter(ctx context.Context, r egress.Request) (egress.Place, mse.Pass, error) {
	place, pass, err := s.enter(ctx, r)
	s.metrics.Joined(r.Protocol, outcome(err))
	return place, pass, err
}

func (s sockets) enter(ctx context.Context, r egress.Request) (egress.Place, mse.Pass, error) {
	name, err := ingest.StreamName(r.App, r.Name)
	if err != nil {
		return nil, mse.Pass{}, err
	}
	place, t, _, err := s.admit(ctx, r)
	if err != nil {
		return nil, mse.Pass{}, err
	}
	pass := mse.Pass{Good: t.verdict == resume.Good && t.claims.Life == place.Origin().Life, Expired: t.verdict == resume.Expired}
	if pass.Token, err = s.seal(name, t, place.Origin()); err != nil {
		place.Close()
		return nil, mse.Pass{}, err
	}
	return place, pass, nil
}

// closing says a refusal as a WebSocket's close.
func closing(err error) mse.Refusal {
	var r *ingest.Refusal
	if !errors.As(err, &r) { // what it says is not for strangers
		return mse.Refusal{Code: mse.Busy, Reason: "1"}
	}
	wait := strconv.Itoa(max(1, int((r.RetryAfter+time.Second-1)/time.Second)))
	switch {
	case r.NotLive:
		return mse.Refusal{Code: mse.NotLive, Reason: wait}
	case r.Outcome == ingest.NoKeyframe: // it may take for ever: say so
		return mse.Refusal{Code: mse.Refused, Reason: r.Words()}
	case r.RetryAfter > 0 || r.Outcome == ingest.RefusedLimit:
		return mse.Refusal{Code: mse.Busy, Reason: wait}
	}
	return mse.Refusal{Code: mse.Refused, Reason: r.Words()}
}

// serveMSE serves a stream's socket; false where the path is none's.
func (a *App) serveMSE(w http.ResponseWriter, r *http.Request) bool {
	_, _, ok := mse.Match(r.URL.Path)
	if ok && reads(w, r, "open a WebSocket") {
		a.mse.ServeHTTP(w, r)
	}
	return ok
}
