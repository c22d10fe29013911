package app

import (
	"net/http"
	"path"
	"strings"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/api"
	"github.com/holdfast-live/holdfast/relay/egress/page"
)

// formats maps file extensions that other servers use for streams to the names of the formats.
var formats = map[string]string{
	".m3u8": "HLS", ".mpd": "DASH", ".ts": "MPEG-TS", ".mp4": "MP4", ".webm": "WebM", ".mkv": "Matroska", ".m4s": "fragments of MP4",
}

// serveElsewhere answers requests for {app}/{name}.m3u8 and similar paths of other servers, for which this
// relay uses other paths. It redirects to the HLS playlist, or answers with the paths of the stream. It
// returns false, without an answer, for other paths and if a stream of exactly that name exists.
func (a *App) serveElsewhere(w http.ResponseWriter, r *http.Request) bool {
	ending := path.Ext(r.URL.Path)
	format := formats[ending]
	app, name, ok := page.Match(r.URL.Path)
	if format == "" || !ok || a.relay.hub.Find(app+"/"+name) != nil {
		return false
	}
	name = strings.TrimSuffix(name, ending)
	if _, err := ingest.StreamName(app, name); err != nil {
		return false
	}
	if !reads(w, r, "use GET; publish over RTMP, or POST to /{app}/{name}/whip") {
		return true
	}
	if ending == ".m3u8" {
		to := "./" + name + "/index.m3u8" // relative to the app, so that it works behind any proxy
		if r.URL.RawQuery != "" {
			to += "?" + r.URL.RawQuery
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}
	at := "/" + app + "/" + name
	api.Problem(w, http.StatusNotFound, "streams are not served as "+format, "play HLS at "+at+"/index.m3u8 or HTTP-FLV at "+at+".flv, or watch at "+at+"/")
	return true
}

// serveNotFound answers a request for a path that does not belong to a stream. A browser receives the
// landing page, with status 200 if the path is the root, and any other client a problem document.
func serveNotFound(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	if get && strings.Contains(r.Header.Get("Accept"), "text/html") {
		status := http.StatusNotFound
		if r.URL.Path == "/" {
			status = http.StatusOK
		}
		page.Landing(w, status)
		return
	}
	api.Problem(w, http.StatusNotFound, "there is nothing at this address",
		"watch a stream at /{app}/{name}/, or play /{app}/{name}.flv or /{app}/{name}/index.m3u8")
}
