package app

import (
	"net/http"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/status"
)

// states is the protocol name that hooks receive for clients that read the state of a stream.
const states = "state"

// wireStates creates the handler that reports the states of streams. Clients must be allowed to play a
// stream to read its state.
func (a *App) wireStates(board *status.Board) {
	a.states = status.New(status.Options{
		Board: board, Refuse: refuse, Absent: notThere,
		Admit: func(r *http.Request, app, name string) (string, time.Time, error) {
			return a.admission.Read(r.Context(), egress.Request{
				App: app, Name: name, Token: egress.Token(r), Protocol: states, Remote: a.settings.remote(r), Agent: r.UserAgent(),
			}, func(stream string) bool { return board.Watch(stream) != nil })
		},
	})
}

// serveState serves the state of a stream. It returns false if the path does not belong to a stream's
// state.
func (a *App) serveState(w http.ResponseWriter, r *http.Request) bool {
	_, _, ok := status.Match(r.URL.Path)
	if ok && reads(w, r, "use GET") {
		a.states.ServeHTTP(w, r)
	}
	return ok
}
