//go:build unix

package e2e

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestSlate makes and configures a slate for a live stream and checks that it is shown while the publisher
// is away.
func TestSlate(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe")
	const stream = "live/cam"
	one := startRelay(t)
	startEncoder(t, one.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	one.waitLive(stream)
	file := filepath.Join(t.TempDir(), "slate.flv")
	if out, err := exec.Command(relayBinary, "slate", stream, "--text", "Back at 10:30, we're sure", "--out", file, "--admin", one.url("admin", "")).CombinedOutput(); err != nil {
		t.Fatalf("got %v\n%s", err, out)
	}
	conf := config(t, "defaults: {filler: "+file+"}\n")
	if out, err := exec.Command(relayBinary, "check", "--config", conf).CombinedOutput(); err != nil {
		t.Fatalf("check: got %v\n%s", err, out)
	}
	r := startRelay(t, "--config", conf)
	first := startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	r.waitLive(stream)
	recorded := record(t, r.url("http", "/"+stream+".flv"), 12*time.Second)
	sleep(t, 3*time.Second)
	first.kill()
	r.waitBreak(0)
	sleep(t, 6*time.Second)
	startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	r.waitResume(0)
	recorded.check(12 * time.Second)
	if bytes.Contains([]byte(r.output()), []byte("instead of the slate")) {
		t.Error("the slate was not shown")
	}
}
