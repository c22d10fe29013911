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

// mpegtsJS serves a page that plays a stream by mpegts.js with the script in relay/README.md, and
// returns its address; empty if mpegts.js cannot be fetched. E2E_MPEGTSJS names a file to take instead.
func mpegtsJS(t testing.TB, url string) string {
	t.Helper()
	path := fetchPlayer(t, "E2E_MPEGTSJS", "mpegts.js", "1.8.2", "mpegts.js")
	if path == "" {
		return ""
	}
	script := replaced(t, snippet(t, "relay/README.md", "js"), "http://HOST:8080/live/cam.flv", url)
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

// The relay is restarted with a state file behind a balancer, and the publisher is back some
// seconds later: hls.js, mpegts.js and the page play on.
func TestPlayersOverARestart(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	const stream = "live/cam"
	file := filepath.Join(t.TempDir(), "state.json")
	f := newFront(t, false)
	f.waits.Store(true)
	one := start(t, "--state.file", file)
	f.before(one)
	b := browse(t)
	players := map[string]*page{}
	byHLS, byFLV := hlsJS(t, f.URL+"/"+stream+"/index.m3u8"), mpegtsJS(t, f.URL+"/"+stream+".flv")
	push := pushing(t, one.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	one.live(stream)
	players["page"] = b.page(f.URL + "/" + stream + "/?by=mse")
	if byHLS != "" {
		players["hls.js"] = b.page(byHLS)
	}
	if byFLV != "" {
		players["mpegts.js"] = b.page(byFLV)
	}
	for _, p := range players {
		p.waitFor(within(t), "window.video && video.currentTime > 1")
		p.watches()
	}
	stopped := time.Now()
	push.kill()
	one.stop()
	two := start(t, "--state.file", file)
	f.before(two)
	wait(t, 3*time.Second) // as long as encoders take to come back
	var state struct{ State, Cause string }
	if err := json.NewDecoder(get(t, t.Context(), two.url("http", "/"+stream+"/state"), http.StatusOK)).Decode(&state); err != nil {
		t.Fatal(err)
	}
	if state.State != "held" || state.Cause != "restart" {
		t.Errorf("before the publisher is back the stream is said to be %+v", state)
	}
	players["page"].says("held, last picture")
	pushing(t, two.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	two.live(stream)
	live := time.Now()
	before := map[string]int{}
	for name, p := range players {
		p.eval(nil, "watch.frames = undefined")
		p.waitFor(within(t), "watch.frames !== undefined")
		var frames int
		p.eval(&frames, "watch.frames")
		before[name] = frames
	}
	for name, p := range players {
		p.waitFor(within(t), fmt.Sprintf("watch.frames > %d", before[name]+60))
		var w watch
		p.eval(&w, "watch")
		t.Logf("%s: plays %v after the stream was live; stood for %.0f ms", name, time.Since(live).Round(time.Millisecond), w.Frozen)
		if away := live.Sub(stopped); w.Frozen > float64((away + slack(5*time.Second)).Milliseconds()) {
			t.Errorf("%s stood for %.0f ms; the stream was away for %v", name, w.Frozen, away)
		}
	}
	if p := players["hls.js"]; p != nil {
		var errs []string
		if p.eval(&errs, "hlsErrors.filter((e) => e.startsWith('fatal'))"); len(errs) > 0 {
			t.Errorf("hls.js: %v", errs)
		}
	}
}
