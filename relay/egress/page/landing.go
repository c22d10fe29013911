package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for landing
	"encoding/base64"
	"net/http"
)

// landing is the document for a path that is no stream's. It does not list streams.
//
//go:embed landing.html
var landing []byte

// landingSecurity allows the inline style of landing, and nothing else.
var landingSecurity = func() string {
	_, style, _ := bytes.Cut(landing, []byte("<style>"))
	style, _, _ = bytes.Cut(style, []byte("</style>"))
	sum := sha256.Sum256(style)
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// Landing answers a browser's request for a path that does not belong to a stream, with the given
// status. The document explains how to reach streams.
func Landing(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", landingSecurity)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // the URL may contain a token
	h.Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	_, _ = w.Write(landing) // fails if the client has gone
}
