package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Bounds of a ceiling, in bits per second.
const (
	leastCeiling = 64_000
	mostCeiling  = 1_000_000_000
)

// ceiling sets or, by DELETE, lifts what a stream's publisher is asked to stay below. It lasts
// as long as the stream.
func ceiling(relay Relay) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		bits := 0.0
		if r.Method == http.MethodPut {
			var body struct {
				Bitrate float64 `json:"bitrate"`
			}
			err := json.NewDecoder(io.LimitReader(r.Body, mostNamed)).Decode(&body)
			if bits = body.Bitrate; err != nil || bits < leastCeiling || bits > mostCeiling {
				Problem(w, http.StatusBadRequest, "the body does not name a bitrate", fmt.Sprintf(`send {"bitrate": N}, N from %d to %d bits per second`, leastCeiling, mostCeiling))
				return
			}
		}
		name := r.PathValue("app") + "/" + r.PathValue("name")
		asked, ok := relay.Cap(name, bits)
		if !ok {
			Problem(w, http.StatusNotFound, "there is no stream "+name, "GET /api/v1/streams lists them")
			return
		}
		reply(w, http.StatusOK, map[string]any{"bitrate": bits, "asked": asked})
	}
}
