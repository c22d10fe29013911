// Package page serves the page at a stream's own address, on which it is watched, and from
// which a browser publishes it, over WebRTC.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"strings"
)

//go:embed page.html
var document []byte

// policy lets the page run what it holds, and nothing else.
var policy = "default-src 'none'; connect-src 'self' ws: wss:; media-src 'self' blob: mediastream:; img-src data:; base-uri 'none'; form-action 'none'; " +
	"script-src " + hash("<script type=\"module\">", "</script>") + "; style-src " + hash("<style>", "</style>")

// hash is what allows one part of the document, as a policy has it.
func hash(begin, end string) string {
	_, rest, _ := bytes.Cut(document, []byte(begin))
	part, _, _ := bytes.Cut(rest, []byte(end))
	sum := sha256.Sum256(part)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Match tells whether a path is that of a stream's page: {app}/{name}/, or the same without the
// slash, which is led there; and of which.
func Match(path string) (app, name string, ok bool) {
	app, name, ok = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	name = strings.TrimSuffix(name, "/")
	return app, name, ok && app != "" && name != "" && !strings.Contains(name, "/")
}

// ServeHTTP serves the paths that Match.
func ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/") {
		// Relative to the last part of the path, so that it is right behind any proxy.
		to := r.URL.EscapedPath()
		to = "./" + to[strings.LastIndexByte(to, '/')+1:] + "/"
		if r.URL.RawQuery != "" {
			to += "?" + r.URL.RawQuery
		}
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self), autoplay=(self)")
	h.Set("Referrer-Policy", "no-referrer") // there may be a token in the address
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write(document)
}
