package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for landing
	"encoding/base64"
	"net/http"
)

// landing is what a browser sees at an address that is no stream's. It lists no streams.
//
//go:embed landing.html
var landing []byte

// landingSecurity allows the style that landing has in it, and nothing else.
var landingSecurity = func() string {
	_, style, _ := bytes.Cut(landing, []byte("<style>"))
	style, _, _ = bytes.Cut(style, []byte("</style>"))
	sum := sha256.Sum256(style)
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// Landing answers a browser that asks for an address that is no stream's with how streams are reached.
func Landing(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", landingSecurity)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // there may be a token in the address
	h.Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	_, _ = w.Write(landing) // the peer may have gone
}
