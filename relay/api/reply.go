package api

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// Problem answers with what was wrong and what would be right.
func Problem(w http.ResponseWriter, status int, reason, hint string) {
	DetailedProblem(w, status, reason, hint, "")
}

// DetailedProblem is Problem with the technical reason, where the others are words for viewers; empty:
// none.
func DetailedProblem(w http.ResponseWriter, status int, reason, hint, detail string) {
	body := map[string]string{"error": reason, "hint": hint}
	if detail != "" {
		body["detail"] = detail
	}
	reply(w, status, body)
}

func reply(w http.ResponseWriter, status int, body any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil { // a number that JSON has no word for
		Problem(w, http.StatusInternalServerError, "the answer cannot be written as JSON", "ask for something else, and report this")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the peer has gone: nobody to tell
}
