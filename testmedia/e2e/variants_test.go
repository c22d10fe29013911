//go:build linux

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestVariants checks that a stream and its rendition are variants of one playlist, and that playing it
// starts the rendition. Both must have the same program date time.
func TestVariants(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe")
	const stream = "live/cam"
	made := encodeClip(t)
	r := startRelay(t, "--config", config(t, "defaults: {transcode: [{name: 180p, height: 180, video: 300k}]}\n"))
	push := made.push(t, r, stream)
	index := r.url("http", "/"+stream+"/index.m3u8")
	waitUntil(t, "both are variants", func() bool { return strings.Count(runProgram(t, "curl", "-s", index), "STREAM-INF") == 2 })
	t.Log(runProgram(t, "curl", "-s", index))
	found := runProgram(t, "ffprobe", "-v", "error", "-show_entries", "program_stream=codec_name,height", "-of", "csv=p=0", index)
	streams := strings.Fields(strings.ReplaceAll(found, "program,", ""))
	for _, want := range []string{"h264,360", "h264,180"} {
		if !slices.Contains(streams, want) {
			t.Errorf("got no %s in %q", want, streams)
		}
	}
	push.unpublish()
	var at []time.Time
	for _, path := range []string{"/" + stream, "/" + stream + "~180p"} {
		list := runProgram(t, "curl", "-s", r.url("http", path+"/media.m3u8"))
		_, date, _ := strings.Cut(list, "#EXT-X-PROGRAM-DATE-TIME:")
		date, _, _ = strings.Cut(date, "\n")
		when, err := time.Parse(time.RFC3339, date)
		if err != nil {
			t.Fatalf("got %v\n%s", err, list)
		}
		at = append(at, when)
	}
	if off := at[0].Sub(at[1]).Abs(); off > 30*time.Second {
		t.Errorf("the variants begin %v apart", off)
	}
}
