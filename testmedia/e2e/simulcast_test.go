//go:build unix

package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"
)

// A browser sends three layers. The best feeds the stream, each is a stream of its own; when the
// line is short the upper ones go, and the stream goes on with what is left, and back.
func TestSimulcast(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	awaitBrowser(t)
	r := start(t, "--defaults.play_wait", "20s")
	const stream = "live/cam"
	b := browse(t)
	w := b.clients().publish(whipOptions{URL: r.url("http", "/"+stream+"/whip"), Rids: []string{"f", "h", "q"}, NoAudio: true})
	p := b.clients()
	v := p.view(whepOptions{URL: r.url("http", "/"+stream+"/whep"), NoAudio: true})
	wide := func(width int) {
		t.Helper()
		began := time.Now()
		v.waitFor("s.video.videoWidth === " + literal(width))
		t.Logf("%d pixels wide after %v, publisher %+v", width, time.Since(began), w.stats().Layers)
	}
	wide(1280)
	small := p.view(whepOptions{URL: r.url("http", "/"+stream+"~q/whep"), NoAudio: true})
	small.decoded(10)
	if s := small.stats(); s.Width != 320 {
		t.Errorf("the smallest layer is %d pixels wide", s.Width)
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
		t.Errorf("streams %v, not %v", names, want)
	}
	v.gap()
	r.ceiling(stream, http.MethodPut, `{"bitrate": 250000}`)
	v.waitFor("s.video.videoWidth < 1280")
	v.decoded(20)
	t.Logf("down: longest time without a picture %v, %d pixels wide", v.gap(), v.stats().Width)
	r.ceiling(stream, http.MethodDelete, "")
	wide(1280)
	v.decoded(20)
	t.Logf("up: longest time without a picture %v", v.gap())
	w.leave()
	r.expect(0, "the stream's push ends", func(l logLine) bool {
		return l.is("push ended") && l.str("stream") == stream && l.str("cause") == "unpublish"
	})
	r.expect(0, "the layers' pushes end", func(l logLine) bool {
		return l.is("push ended") && l.str("stream") == stream+"~q" && l.str("cause") == "unpublish"
	})
}
