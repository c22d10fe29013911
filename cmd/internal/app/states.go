package app

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/status"
)

// states is the name under which hooks are asked about viewers that read a stream's state.
const states = "state"

// wireStates makes what tells viewers how streams are: those who may play them.
func (a *App) wireStates(board *status.Board) {
	a.states = status.New(status.Options{
		Board: board, Refuse: refuse, Absent: notThere,
		Admit: func(r *http.Request, app, name string) (string, time.Time, error) {
			return a.viewing.mayRead(r.Context(), egress.Request{
				App: app, Name: name, Token: egress.Token(r), Protocol: states, Remote: a.settings.remote(r), Agent: r.UserAgent(),
			}, func(stream string) bool { return board.Watch(stream) != nil })
		},
	})
}

// mayRead lets a viewer read the state of a stream that it may play: by its play token, and by the
// hooks that are asked about plays. It returns when the token expires. Hooks are asked about streams
// that are there, and no oftener than viewers may join.
func (p *playing) mayRead(ctx context.Context, r egress.Request, there func(stream string) bool) (name string, until time.Time, err error) {
	if err := refused(ctx); err != nil {
		return "", time.Time{}, err
	}
	if name, err = ingest.StreamName(r.App, r.Name); err != nil {
		return "", time.Time{}, err
	}
	t, err := p.ticket(ctx, name, r)
	if err != nil {
		return "", time.Time{}, err
	}
	if !there(name) || !p.asks(name) {
		return name, t.until, nil
	}
	if err := p.turn(ctx, r, false); err != nil {
		return "", time.Time{}, err
	}
	return name, t.until, p.mayPlay(ctx, r, name, t)
}

// serveState tells how a stream is; false where the path is none's.
func (a *App) serveState(w http.ResponseWriter, r *http.Request) bool {
	_, _, ok := status.Match(r.URL.Path)
	if ok && reads(w, r, "use GET") {
		a.states.ServeHTTP(w, r)
	}
	return ok
}
