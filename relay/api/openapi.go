package api

import (
	_ "embed"
	"net/http"
)

// openapi is the OpenAPI document of this API.
//
//go:embed openapi.json
var openapi []byte

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openapi) // fails if the client has gone
}
