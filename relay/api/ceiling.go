package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Bounds of a ceiling, in bits per second.
const (
	minCeiling = 64_000
	maxCeiling = 1_000_000_000
)

// ceiling handles the maximum bitrate of a stream's publisher: PUT sets it and DELETE removes it. It
// lasts as long as the stream.
func ceiling(relay Relay) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		bits := 0.0
		if r.Method == http.MethodPut {
			var body struct {
				Bitrate float64 `json:"bitrate"`
			}
			err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&body)
			if bits = body.Bitrate; err != nil || bits < minCeiling || bits > maxCeiling {
				Problem(w, http.StatusBadRequest, "the body does not name a bitrate", fmt.Sprintf(`send {"bitrate": N}, N from %d to %d bits per second`, minCeiling, maxCeiling))
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
