//go:build linux

package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// A lower rendition is made when somebody watches it, and when a push is to send it: at the
// switch, in both directions, no timestamp leaps and no sound is lost.
func TestRendition(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	const stream, length = "live/cam", 6 * time.Second
	made, far := encoded(t), nginxRTMP(t)
	g := group{list: "push", urls: pushTo(far.addr)}
	r := start(t, "--config", config(t, g.yaml()+"defaults: {transcode: [{name: 180p, height: 180, video: 300k}]}\n"))
	push := made.push(t, r, stream)
	r.carries(stream, "a")

	began := time.Now()
	low := record(t, r.url("http", "/"+stream+"~180p.flv"), length)
	if got := low.good(length); got < length-time.Second || got > length+time.Second {
		t.Errorf("the rendition was recorded for %v", got)
	}
	t.Logf("%v of the rendition after %v", length, time.Since(began))
	if got := heights(t, low.file); !slices.Equal(got, []string{"180"}) {
		t.Errorf("the rendition is %v high", got)
	}

	for _, way := range []struct{ method, body, rung string }{
		{http.MethodPut, `{"rung": "rendition"}`, "rendition"}, {http.MethodDelete, "", "full"},
	} {
		asked := time.Now()
		if status, why := r.acts(way.method, "routes/cdn/"+stream+"/rung", way.body); status != http.StatusNoContent {
			t.Fatal(status, why)
		}
		until(t, "the push sends "+way.rung, func() bool { return r.route(stream).Ladder.Rung == way.rung })
		t.Logf("at %s after %v: %s", way.rung, time.Since(asked), r.route(stream).Ladder.Reason)
		wait(t, 5*time.Second)
	}
	far.kill()
	push.end()
	files := far.recordings()
	if len(files) != 1 {
		t.Fatalf("%d recordings", len(files))
	}
	if got := heights(t, files[0]); !slices.Equal(got, []string{"360", "180", "360"}) {
		t.Errorf("what was pushed is %v high", got)
	}
	made.sound(t, files[0])
	decodes(t, files[0])
	var last, most time.Duration
	for _, tag := range tags(t, files[0]) {
		if tag.Type != typeVideo || tag.Body[1] != 1 {
			continue
		}
		dts := time.Duration(tag.Timestamp) * time.Millisecond
		if dts < last || dts == last && last != 0 {
			t.Errorf("a picture at %v after one at %v", dts, last)
		}
		last, most = dts, max(most, dts-last)
	}
	t.Logf("two pictures are at most %v apart", most)
	if most > time.Second {
		t.Errorf("two pictures are %v apart", most)
	}
}

// heights are those of a recording's pictures, one after another.
func heights(t *testing.T, file string) []string {
	t.Helper()
	all := capture(t, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=height", "-of", "csv=p=0", file)
	return slices.Compact(strings.Fields(strings.ReplaceAll(all, ",", " ")))
}
