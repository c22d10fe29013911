// Package console serves the web page for operators of a relay. It contains no data: the page
// reads everything from the API.
package console

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed site
var site embed.FS

// policy is the Content-Security-Policy of the page. It allows the page's own scripts and origin,
// and media that the page has loaded from there. It forbids scripts to create markup from text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src blob:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

var types = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// asset is a file of the page and its entity tag.
type asset struct {
	name, etag string
	data       []byte
}

// Handler serves the page at / and its files at /console/.
func Handler() http.Handler {
	assets := map[string]asset{}
	names, err := fs.Glob(site, "site/*")
	if err != nil {
		panic(err) // cannot happen: the pattern is valid
	}
	for _, name := range names {
		data, err := site.ReadFile(name)
		if err != nil {
			panic(err) // cannot happen: the file is listed
		}
		sum := sha256.Sum256(data)
		at := "/console/" + path.Base(name)
		if path.Base(name) == "index.html" {
			at = "/"
		}
		assets[at] = asset{name: name, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, data: data}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		a.serve(w, r)
	})
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", types[path.Ext(a.name)])
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept")
	h.Set("ETag", a.etag)
	if strings.Contains(r.Header.Get("If-None-Match"), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(a.data) // fails if the client has gone
}
