//go:build unix

package e2e

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A slate is made for a live stream, configured, and seen while the publisher is away.
func TestSlate(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	const stream = "live/cam"
	one := start(t)
	pushing(t, one.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	one.live(stream)
	file := filepath.Join(t.TempDir(), "slate.flv")
	if out, err := exec.Command(built, "slate", stream, "--text", "Back at 10:30, we're sure", "--out", file, "--admin", one.url("admin", "")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	conf := config(t, "defaults: {filler: "+file+"}\n")
	if out, err := exec.Command(built, "check", "--config", conf).CombinedOutput(); err != nil {
		t.Fatalf("check: %v\n%s", err, out)
	}
	r := start(t, "--config", conf)
	first := pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	r.live(stream)
	recorded := record(t, r.url("http", "/"+stream+".flv"), 12*time.Second)
	wait(t, 3*time.Second)
	first.kill()
	r.broke(0)
	wait(t, 6*time.Second)
	pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	r.resumed(0)
	recorded.good(12 * time.Second)
	if bytes.Contains([]byte(r.output()), []byte("instead of the slate")) {
		t.Error("the slate was not played")
	}
}
