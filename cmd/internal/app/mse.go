package app

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/egress/mse"
	"github.com/holdfast-live/holdfast/relay/egress/status"
)

// wireMSE makes what serves chunks over WebSocket.
func (a *App) wireMSE(board *status.Board) {
	a.mse = mse.New(mse.Options{
		Admission: a.admission, HTTP: webAnswers{a.settings}, Metrics: a.viewers(), Feeds: a.feeds, Refuse: closing,
		Skipped: &a.relay.skipped, Log: component(a.log, "http"),
		State: func(stream string) (any, <-chan struct{}) {
			if w := board.Watch(stream); w != nil {
				return w.Status(time.Now())
			}
			return nil, nil
		},
		Settings: func(stream string) mse.Settings {
			c := a.settings.get().Stream(stream)
			return mse.Settings{WriteTimeout: c.Viewer.WriteTimeout, Lag: c.Viewer.Lag, Heartbeat: fixed(c.Heartbeat)}
		},
	})
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
