package app

import (
	"net/http"

	"github.com/holdfast-live/holdfast/relay/auth"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/status"
	"github.com/holdfast-live/holdfast/relay/hub"
)

// wireStates makes what tells viewers how streams are: those who may play them.
func (a *App) wireStates(board *status.Board) {
	a.states = status.New(status.Options{
		Board: board, Refuse: refuse, Absent: notThere,
		Admit: func(r *http.Request, app, name string) (string, error) {
			if err := refused(r.Context()); err != nil {
				return "", err
			}
			stream, err := hub.Name(app, name)
			if err != nil {
				return "", err
			}
			return stream, auth.Play(a.settings, stream, egress.Token(r))
		},
	})
}

// serveState tells how a stream is; false where the path is none's.
func (a *App) serveState(w http.ResponseWriter, r *http.Request) bool {
	_, _, ok := status.Match(r.URL.Path)
	if ok && reads(w, r, "use GET") {
		a.states.ServeHTTP(w, r)
	}
	return ok
}
