package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestSlate(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("needs ffmpeg")
	}
	answers := map[string]string{
		"/api/v1/streams/live/cam":  `{"tracks": [{"codec": "H.264", "profile": "Main", "width": 320, "height": 180, "frame_rate": 29.97}, {"codec": "AAC", "sample_rate": 44100, "channels": 1}]}`,
		"/api/v1/streams/live/mute": `{"tracks": [{"codec": "H.264", "profile": "Constrained Baseline", "width": 160, "height": 90}]}`,
		"/api/v1/streams/live/new":  `{"tracks": [{"codec": "HEVC", "width": 320, "height": 180}]}`,
	}
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a, ok := answers[r.URL.Path]; ok && r.Header.Get("Authorization") == "Bearer sample" {
			_, _ = w.Write([]byte(a))
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer admin.Close()
	dir := t.TempDir()
	for stream, want := range map[string]string{"live/cam": "", "live/mute": "", "live/new": "H.264", "live/none": "must be live"} {
		out := filepath.Join(dir, strings.ReplaceAll(stream, "/", "-")+".flv")
		stdout, stderr, code := run(t, []string{"HOLDFAST_ADMIN_TOKEN=sample"}, "slate", stream, "--admin", admin.URL, "--out", out, "--text", `50% [of; it], "it's" \ a: b`)
		_, err := os.Stat(out)
		if (want == "") != (code == 0 && err == nil && strings.Contains(stdout, "filler: "+out)) || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, %v: %s%s", stream, code, err, stdout, stderr)
		}
	}
	if _, stderr, code := run(t, nil, "slate", "live/cam", "--out", "slate.mp4"); code != 1 || !strings.Contains(stderr, ".flv") {
		t.Errorf("exit %d: got %s", code, stderr)
	}
	bad := file(t, "no clip")
	if err := os.Rename(bad, bad+".flv"); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := run(t, nil, "check", "--config", file(t, "defaults: {filler: "+bad+".flv}\n")); code != 1 || !strings.Contains(stderr, "defaults.filler: slate") {
		t.Errorf("check: exit %d: %s", code, stderr)
	}
	if _, stderr, code := run(t, nil, "check", "--config", file(t, "defaults: {filler: /nowhere/slate.flv}\n")); code != 1 || !strings.Contains(stderr, "holdfast slate makes one") {
		t.Errorf("check: exit %d: %s", code, stderr)
	}
}
