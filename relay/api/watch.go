package api

import (
	"net/http"
	"time"
)

// pass issues a play token with which the operator can watch a stream. It handles POST requests,
// which pages of other sites cannot send.
func pass(of func(stream string) (token string, until time.Time, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if of == nil {
			Problem(w, http.StatusNotImplemented, "this relay makes no play tokens", "make one with holdfast token")
			return
		}
		token, until, err := of(r.PathValue("app") + "/" + r.PathValue("name"))
		if err != nil {
			Problem(w, http.StatusNotFound, err.Error(), "name a stream as {app}/{name}")
			return
		}
		out := map[string]any{"token": token}
		if token != "" {
			out["expires"] = until.UTC().Truncate(time.Second)
		}
		reply(w, http.StatusOK, out)
	}
}
