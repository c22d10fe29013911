//go:build unix

package e2e

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestTwoEncodersWithOneKey runs two healthy encoders with one key. The second takes the stream over once;
// the third is refused with the reason.
func TestTwoEncodersWithOneKey(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	const stream = "live/cam"
	one := publish(t, r, stream, gen.Options{Source: 1})
	w := streamCheck{t: t, relay: r, pushes: []*publisher{one}}
	one.waitSent(20)
	w.viewers = watchRTMPAndFLV(t, r, stream)
	one.waitSent(150)
	two := publish(t, r, stream, gen.Options{Source: 2})
	w.pushes = append(w.pushes, two)
	if reason := one.waitClosed(); !strings.Contains(reason, "NetStream.Publish.BadName") || !strings.Contains(reason, "taken over") {
		t.Errorf("first push: got %q", reason)
	}
	if l := r.waitBreak(0); l.str("cause") != "takeover" {
		t.Error(l.text)
	}
	two.waitSent(100)
	refused := expectRefusal(t, r.addrs["rtmp"], "publish", stream)
	if refused.code != "NetStream.Publish.BadName" || !strings.Contains(refused.description, "another push is live") {
		t.Errorf("third push: got %v", refused)
	}
	two.waitSent(200)
	two.pause()
	for _, v := range w.viewers {
		v.checkOpen()
	}
	w.waitSettled(two)
	for outcome, want := range map[string]float64{"healthy": 1, "refused": 1, "silent": 0} {
		if n := r.metric(`holdfast_publish_takeovers_total{outcome="` + outcome + `"}`); n != want {
			t.Errorf("got %v takeovers: %s, want %v", n, outcome, want)
		}
	}
}

// TestKick closes a push through the API. Viewers are held, and the encoder may return.
func TestKick(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	const stream = "live/cam"
	one := publish(t, r, stream, gen.Options{Source: 1})
	one.waitSent(20)
	w := streamCheck{t: t, relay: r, pushes: []*publisher{one}, viewers: watchRTMPAndFLV(t, r, stream)}
	one.waitSent(100)
	kick := func() int {
		req, err := http.NewRequestWithContext(waitContext(t), http.MethodDelete, r.url("admin", "/api/v1/streams/"+stream+"/publisher"), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if status := kick(); status != http.StatusNoContent {
		t.Errorf("kick: got status %d", status)
	}
	if reason := one.waitClosed(); !strings.Contains(reason, "the operator ended this push") {
		t.Errorf("push: got %q", reason)
	}
	if l := r.waitBreak(0); l.str("cause") != "kick" {
		t.Error(l.text)
	}
	if status := kick(); status != http.StatusNotFound {
		t.Errorf("kick without a push: got status %d", status)
	}
	two := publish(t, r, stream, gen.Options{Source: 2})
	w.pushes = append(w.pushes, two)
	two.waitSent(100)
	two.pause()
	w.waitSettled(two)
	for _, v := range w.viewers {
		v.checkOpen()
	}
	w.checkSync()
}

// config writes a configuration file for a relay.
func config(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "holdfast.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestKeys checks that a publisher without a key is refused with the reason, and that nothing that the
// relay writes contains a key.
func TestKeys(t *testing.T) {
	t.Parallel()
	const right, wrong = "s3same-0pen", "l3t-me-in"
	r := startRelay(t, "--log.level", "debug", "--config", config(t, "streams:\n  - match: \"live/*\"\n    publish_keys: ["+right+"]\n"))
	for _, tt := range []struct{ stream, code, says string }{
		{"live/cam", "NetStream.Publish.Denied", "key"},
		{"live/cam?key=" + wrong, "NetStream.Publish.Denied", "key"},
		{"live/..", "NetStream.Publish.BadName", ""},
		{"live/cam?backup=1&key=" + wrong, "NetStream.Publish.Denied", "key"},
	} {
		got := expectRefusal(t, r.addrs["rtmp"], "publish", tt.stream)
		if got.code != tt.code || !strings.Contains(got.description, tt.says) {
			t.Errorf("%s: got %v", tt.stream, got)
		}
	}
	p := publish(t, r, "live/cam?key="+right, gen.Options{})
	p.waitSent(20)
	shown := fetch(t, r.url("admin", "/api/v1/streams")) + fetch(t, r.url("admin", "/metrics")) + r.output()
	if strings.Contains(shown, right) || strings.Contains(shown, wrong) {
		t.Error("got a key in the relay's output")
	}

	requirePrograms(t, "ffmpeg")
	printed := func(key string) string {
		f := startEncoder(t, r.url("rtmp", "/live/other?key="+key), encoderSource{size: "640x360", tone: true, length: 2 * time.Second})
		_ = f.wait(waitLimit)
		return f.output()
	}
	if out := printed(wrong); !strings.Contains(out, "publish key") {
		t.Errorf("got no reason for the refusal in ffmpeg's output:\n%s", out)
	}
	if out := printed(right); strings.Contains(out, "rror") {
		t.Errorf("ffmpeg with the right key printed:\n%s", out)
	}
}

// TestDrain stops the relay while viewers play. They get a clean end, and the relay does not wait for
// them.
func TestDrain(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	const stream = "live/cam"
	p := publish(t, r, stream, gen.Options{Source: 1})
	p.waitSent(20)
	viewers := watchRTMPAndFLV(t, r, stream)
	for _, v := range viewers {
		v.waitKeyframe()
	}
	p.waitSent(120)
	began := time.Now()
	r.stop()
	for _, v := range viewers {
		v.checkEnd()
	}
	if took := time.Since(began); took > slack(2*time.Second) {
		t.Errorf("the relay took %v to exit", took)
	}
	p.pause()
	if reason := p.waitClosed(); !strings.Contains(reason, "shutting down") {
		t.Errorf("push: got %q", reason)
	}
	if l := r.waitBreak(0); !l.is("push closed") || l.str("cause") != "shutdown" {
		t.Errorf("got cause %q for the end of the push", l.str("cause"))
	}
	if c, err := net.Dial("tcp", r.addrs["admin"]); err == nil {
		_ = c.Close()
		t.Error("the relay still answers")
	}
}
