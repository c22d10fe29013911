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

// wireMSE creates the handler that sends fMP4 chunks over WebSocket, for players with Media Source
// Extensions.
func (a *App) wireMSE(board *status.Board) {
	a.mse = mse.New(mse.Options{
		Admission: a.admission, HTTP: webAnswers{a.settings}, Metrics: a.viewers(), Feeds: a.feeds, Refuse: closeReason,
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

// closeReason converts a refusal to the code and reason with which a WebSocket is closed.
func closeReason(err error) mse.Refusal {
	var r *ingest.Refusal
	if !errors.As(err, &r) { // internal errors are not shown to clients
		return mse.Refusal{Code: mse.Busy, Reason: "1"}
	}
	wait := strconv.Itoa(max(1, int((r.RetryAfter+time.Second-1)/time.Second)))
	switch {
	case r.NotLive:
		return mse.Refusal{Code: mse.NotLive, Reason: wait}
	case r.Outcome == ingest.NoKeyframe: // a keyframe may never arrive
		return mse.Refusal{Code: mse.Refused, Reason: r.Words()}
	case r.RetryAfter > 0 || r.Outcome == ingest.RefusedLimit:
		return mse.Refusal{Code: mse.Busy, Reason: wait}
	}
	return mse.Refusal{Code: mse.Refused, Reason: r.Words()}
}

// serveMSE serves a stream over WebSocket. It returns false if the path does not belong to a stream's
// WebSocket.
func (a *App) serveMSE(w http.ResponseWriter, r *http.Request) bool {
	_, _, ok := mse.Match(r.URL.Path)
	if ok && reads(w, r, "open a WebSocket") {
		a.mse.ServeHTTP(w, r)
	}
	return ok
}
