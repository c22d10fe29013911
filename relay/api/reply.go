package api

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// Problem answers with an error and a hint.
func Problem(w http.ResponseWriter, status int, reason, hint string) {
	DetailedProblem(w, status, reason, hint, "")
}

// DetailedProblem is like Problem, but also includes detail, the technical reason, for use if reason
// and hint are worded for viewers. detail may be empty.
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
	if err := e.Encode(body); err != nil { // a number that JSON cannot represent
		Problem(w, http.StatusInternalServerError, "the response cannot be encoded as JSON", "report this as a bug")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // fails if the client has gone
}
