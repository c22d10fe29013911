//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"
)

// mpegtsJS serves a page that plays a stream with mpegts.js and the script in relay/README.md, and returns
// its URL, or "" if mpegts.js cannot be fetched. E2E_MPEGTSJS names a file to use instead.
func mpegtsJS(t testing.TB, url string) string {
	t.Helper()
	path := fetchPlayer(t, "E2E_MPEGTSJS", "mpegts.js", "1.8.2", "mpegts.js")
	if path == "" {
		return ""
	}
	script := replaceOnce(t, snippet(t, "relay/README.md", "js"), "http://HOST:8080/live/cam.flv", url)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/mpegts.js" {
			http.ServeFile(w, r, path)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, "<!doctype html><title>mpegts.js</title><video id=video autoplay muted></video><script src=/mpegts.js></script><script>%s</script>", script)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestPlayersOverARestart restarts the relay with a state file behind a load balancer, and the publisher
// returns some seconds later. hls.js, mpegts.js and the page must continue to play.
func TestPlayersOverARestart(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	const stream = "live/cam"
	file := filepath.Join(t.TempDir(), "state.json")
	f := newFront(t, false)
	f.retries.Store(true)
	one := startRelay(t, "--state.file", file)
	f.setRelay(one)
	b := startBrowser(t)
	players := map[string]*page{}
	byHLS, byFLV := hlsJS(t, f.URL+"/"+stream+"/index.m3u8"), mpegtsJS(t, f.URL+"/"+stream+".flv")
	push := startEncoder(t, one.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	one.waitLive(stream)
	players["page"] = b.openPage(f.URL + "/" + stream + "/?by=mse")
	if byHLS != "" {
		players["hls.js"] = b.openPage(byHLS)
	}
	if byFLV != "" {
		players["mpegts.js"] = b.openPage(byFLV)
	}
	for _, p := range players {
		p.waitFor(waitContext(t), "window.video && video.currentTime > 1")
		p.recordPlayback()
	}
	stopped := time.Now()
	push.kill()
	one.stop()
	two := startRelay(t, "--state.file", file)
	f.setRelay(two)
	sleep(t, 3*time.Second) // encoders take that long to return
	var state struct{ State, Cause string }
	if err := json.NewDecoder(get(t, t.Context(), two.url("http", "/"+stream+"/state"), http.StatusOK)).Decode(&state); err != nil {
		t.Fatal(err)
	}
	if state.State != "held" || state.Cause != "restart" {
		t.Errorf("got state %+v before the publisher returned", state)
	}
	players["page"].waitState("held, last picture")
	startEncoder(t, two.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	two.waitLive(stream)
	live := time.Now()
	before := map[string]int{}
	for name, p := range players {
		p.eval(nil, "watch.frames = undefined")
		p.waitFor(waitContext(t), "watch.frames !== undefined")
		var frames int
		p.eval(&frames, "watch.frames")
		before[name] = frames
	}
	for name, p := range players {
		p.waitFor(waitContext(t), fmt.Sprintf("watch.frames > %d", before[name]+60))
		var w watch
		p.eval(&w, "watch")
		t.Logf("%s: plays %v after the stream was live; frozen for %.0f ms", name, time.Since(live).Round(time.Millisecond), w.Frozen)
		if away := live.Sub(stopped); w.Frozen > float64((away + slack(5*time.Second)).Milliseconds()) {
			t.Errorf("%s was frozen for %.0f ms; the stream was away for %v", name, w.Frozen, away)
		}
	}
	if p := players["hls.js"]; p != nil {
		var errs []string
		if p.eval(&errs, "hlsErrors.filter((e) => e.startsWith('fatal'))"); len(errs) > 0 {
			t.Errorf("got hls.js errors %v", errs)
		}
	}
}
