//go:build unix

package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"
)

// TestSimulcast publishes three layers from a browser. The best feeds the stream, and each is a stream
// too. If bandwidth is low, the upper layers end and the stream continues with the rest, and returns to
// the best later.
func TestSimulcast(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium")
	awaitBrowser(t)
	r := startRelay(t, "--defaults.play_wait", "20s")
	const stream = "live/cam"
	b := startBrowser(t)
	w := b.openClientPage().publish(whipOptions{URL: r.url("http", "/"+stream+"/whip"), Rids: []string{"f", "h", "q"}, NoAudio: true})
	p := b.openClientPage()
	v := p.view(whepOptions{URL: r.url("http", "/"+stream+"/whep"), NoAudio: true})
	wide := func(width int) {
		t.Helper()
		began := time.Now()
		v.waitFor("s.video.videoWidth === " + literal(width))
		t.Logf("got width %d after %v, publisher %+v", width, time.Since(began), w.stats().Layers)
	}
	wide(1280)
	small := p.view(whepOptions{URL: r.url("http", "/"+stream+"~q/whep"), NoAudio: true})
	small.waitDecoded(10)
	if s := small.stats(); s.Width != 320 {
		t.Errorf("got width %d of the smallest layer", s.Width)
	}
	small.leave()
	var all struct{ Streams []struct{ Name string } }
	if err := json.Unmarshal([]byte(fetch(t, r.url("admin", "/api/v1/streams"))), &all); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range all.Streams {
		names = append(names, s.Name)
	}
	if want := []string{stream, stream + "~f", stream + "~h", stream + "~q"}; !slices.Equal(names, want) {
		t.Errorf("got streams %v, want %v", names, want)
	}
	v.longestGap()
	r.setCeiling(stream, http.MethodPut, `{"bitrate": 250000}`)
	v.waitFor("s.video.videoWidth < 1280")
	v.waitDecoded(20)
	t.Logf("down: longest gap %v, width %d", v.longestGap(), v.stats().Width)
	r.setCeiling(stream, http.MethodDelete, "")
	wide(1280)
	v.waitDecoded(20)
	t.Logf("up: longest gap %v", v.longestGap())
	w.leave()
	r.waitLog(0, "the stream's push ends", func(l logLine) bool {
		return l.is("push ended") && l.str("stream") == stream && l.str("cause") == "unpublish"
	})
	r.waitLog(0, "the layers' pushes end", func(l logLine) bool {
		return l.is("push ended") && l.str("stream") == stream+"~q" && l.str("cause") == "unpublish"
	})
}
