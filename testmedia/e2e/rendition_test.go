//go:build linux

package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRendition checks that a lower rendition runs while it is watched or pushed. At the switch in both
// directions, timestamps are continuous and no audio is lost.
func TestRendition(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe")
	const stream, length = "live/cam", 6 * time.Second
	made, server := encodeClip(t), startNginxRTMP(t)
	g := group{list: "push", urls: pushURLs(server.addr)}
	r := startRelay(t, "--config", config(t, g.yaml()+"defaults: {transcode: [{name: 180p, height: 180, video: 300k}]}\n"))
	push := made.push(t, r, stream)
	r.waitCarries(stream, "a")

	began := time.Now()
	low := record(t, r.url("http", "/"+stream+"~180p.flv"), length)
	if got := low.check(length); got < length-time.Second || got > length+time.Second {
		t.Errorf("got %v of the rendition recorded", got)
	}
	t.Logf("got %v of the rendition after %v", length, time.Since(began))
	if got := frameHeights(t, low.file); !slices.Equal(got, []string{"180"}) {
		t.Errorf("got a rendition of height %v", got)
	}

	for _, step := range []struct{ method, body, rung string }{
		{http.MethodPut, `{"rung": "rendition"}`, "rendition"}, {http.MethodDelete, "", "full"},
	} {
		asked := time.Now()
		if status, reason := r.routeAction(step.method, "routes/cdn/"+stream+"/rung", step.body); status != http.StatusNoContent {
			t.Fatal(status, reason)
		}
		waitUntil(t, "the push sends "+step.rung, func() bool { return r.routeStatus(stream).Ladder.Rung == step.rung })
		t.Logf("at %s after %v: %s", step.rung, time.Since(asked), r.routeStatus(stream).Ladder.Reason)
		sleep(t, 5*time.Second)
	}
	server.kill()
	push.unpublish()
	files := server.recordings()
	if len(files) != 1 {
		t.Fatalf("got %d recordings, want 1", len(files))
	}
	if got := frameHeights(t, files[0]); !slices.Equal(got, []string{"360", "180", "360"}) {
		t.Errorf("got heights %v pushed", got)
	}
	made.checkAudio(t, files[0])
	checkDecodes(t, files[0])
	var last, maximum time.Duration
	for _, tag := range readTags(t, files[0]) {
		if tag.Type != typeVideo || tag.Body[1] != 1 {
			continue
		}
		dts := time.Duration(tag.Timestamp) * time.Millisecond
		if dts < last || dts == last && last != 0 {
			t.Errorf("got a frame at %v after one at %v", dts, last)
		}
		last, maximum = dts, max(maximum, dts-last)
	}
	t.Logf("frames are at most %v apart", maximum)
	if maximum > time.Second {
		t.Errorf("got two frames %v apart", maximum)
	}
}

// frameHeights returns the heights of a recording's frames, one for each change.
func frameHeights(t *testing.T, file string) []string {
	t.Helper()
	all := runProgram(t, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=height", "-of", "csv=p=0", file)
	return slices.Compact(strings.Fields(strings.ReplaceAll(all, ",", " ")))
}
