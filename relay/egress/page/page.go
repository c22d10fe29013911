// Package page serves the web page of a stream, which plays the stream and publishes to it over
// WebRTC.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed page.html page.css *.js
var files embed.FS

const (
	// folder is the path of the page's own files; the app of a stream cannot contain a tilde.
	folder = "/~page/"
	// security allows the page's own scripts and styles, and nothing else.
	security = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; " +
		"media-src 'self' blob: mediastream:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors "
)

// version is a hash of all files, so that their URLs change with their content.
var version = func() string {
	sum := sha256.New()
	for _, name := range names() {
		sum.Write([]byte(name))
		sum.Write(read(name))
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}()

// document is the page. It refers to its files relative to the stream's path, so that it works
// behind any proxy.
var document = bytes.ReplaceAll(read("page.html"), []byte(`"~page/`), []byte(`"../..`+folder+version+`/`))

// names returns the names of the embedded files.
func names() []string {
	found, err := fs.Glob(files, "*")
	if err != nil {
		panic(err) // cannot happen: the pattern is valid
	}
	return found
}

func read(name string) []byte {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(err) // cannot happen: the file is embedded
	}
	return content
}

// Match reports whether a path is that of a stream's page: {app}/{name}/, or the same without the
// slash, which ServeHTTP redirects. It returns the components of the path.
func Match(path string) (app, name string, ok bool) {
	app, name, ok = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	name = strings.TrimSuffix(name, "/")
	return app, name, ok && app != "" && name != "" && !strings.Contains(name, "/")
}

// ServeHTTP serves the paths that Match accepts.
func ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/") {
		// The redirect is relative to the last element of the path, so that it works behind any
		// proxy.
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
	if r.URL.Query().Has("embed") { // may be framed by any site, and cannot publish
		h.Set("Content-Security-Policy", security+"*")
		h.Set("Permissions-Policy", "camera=(), microphone=(), display-capture=()")
	} else {
		h.Set("Content-Security-Policy", security+"'self'")
		h.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self), autoplay=(self)")
	}
	h.Set("Referrer-Policy", "no-referrer") // the URL may contain a token
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write(document)
}

// ServeFile serves one of the page's files. It returns false if the path is not that of a file.
func ServeFile(w http.ResponseWriter, r *http.Request) bool {
	name, ok := strings.CutPrefix(r.URL.Path, folder+version+"/")
	kind, known := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}[path.Ext(name)]
	if !ok || !known {
		return false
	}
	content, err := files.ReadFile(name)
	if err != nil {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(content) //nolint:gosec // G705: an embedded file
	return true
}
