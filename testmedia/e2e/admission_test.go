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

// Two healthy encoders have one key: the second gets the stream once, the third is told why
// not.
func TestTwoEncoders(t *testing.T) {
	t.Parallel()
	r := start(t)
	const stream = "live/cam"
	one := publish(t, r, stream, gen.Options{Source: 1})
	w := watched{t: t, relay: r, pushes: []*publisher{one}}
	one.atLeast(20)
	w.viewers = both(t, r, stream)
	one.atLeast(150)
	two := publish(t, r, stream, gen.Options{Source: 2})
	w.pushes = append(w.pushes, two)
	if why := one.closed(); !strings.Contains(why, "NetStream.Publish.BadName") || !strings.Contains(why, "taken over") {
		t.Errorf("the first was told %q", why)
	}
	if l := r.broke(0); l.str("cause") != "takeover" {
		t.Error(l.text)
	}
	two.atLeast(100)
	refused := refusal(t, r.addrs["rtmp"], "publish", stream)
	if refused.code != "NetStream.Publish.BadName" || !strings.Contains(refused.description, "another push is live") {
		t.Errorf("the third was told %v", refused)
	}
	two.atLeast(200)
	two.halt()
	for _, v := range w.viewers {
		v.watching()
	}
	w.settled(two)
	for outcome, want := range map[string]float64{"healthy": 1, "refused": 1, "silent": 0} {
		if n := r.metric(`holdfast_publish_takeovers_total{outcome="` + outcome + `"}`); n != want {
			t.Errorf("%v takeovers: %s, want %v", n, outcome, want)
		}
	}
}

// The operator ends a push; viewers are held, and the encoder may come back.
func TestKick(t *testing.T) {
	t.Parallel()
	r := start(t)
	const stream = "live/cam"
	one := publish(t, r, stream, gen.Options{Source: 1})
	one.atLeast(20)
	w := watched{t: t, relay: r, pushes: []*publisher{one}, viewers: both(t, r, stream)}
	one.atLeast(100)
	kick := func() int {
		req, err := http.NewRequestWithContext(within(t), http.MethodDelete, r.url("admin", "/api/v1/streams/"+stream+"/publisher"), nil)
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
		t.Errorf("status %d", status)
	}
	if why := one.closed(); !strings.Contains(why, "the operator ended this push") {
		t.Errorf("the push was told %q", why)
	}
	if l := r.broke(0); l.str("cause") != "kick" {
		t.Error(l.text)
	}
	if status := kick(); status != http.StatusNotFound {
		t.Errorf("a kick without a push: status %d", status)
	}
	two := publish(t, r, stream, gen.Options{Source: 2})
	w.pushes = append(w.pushes, two)
	two.atLeast(100)
	two.halt()
	w.settled(two)
	for _, v := range w.viewers {
		v.watching()
	}
	w.inSync()
}

// config writes a configuration for a relay.
func config(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "holdfast.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Who has no key does not publish, and is told so; nothing that the relay writes holds a key.
func TestKeys(t *testing.T) {
	t.Parallel()
	const right, wrong = "s3same-0pen", "l3t-me-in"
	r := start(t, "--log.level", "debug", "--config", config(t, "streams:\n  - match: \"live/*\"\n    publish_keys: ["+right+"]\n"))
	for _, tt := range []struct{ stream, code, says string }{
		{"live/cam", "NetStream.Publish.Denied", "key"},
		{"live/cam?key=" + wrong, "NetStream.Publish.Denied", "key"},
		{"live/..", "NetStream.Publish.BadName", ""},
		{"live/cam?backup=1&key=" + wrong, "NetStream.Publish.Denied", "key"},
	} {
		got := refusal(t, r.addrs["rtmp"], "publish", tt.stream)
		if got.code != tt.code || !strings.Contains(got.description, tt.says) {
			t.Errorf("%s: %v", tt.stream, got)
		}
	}
	p := publish(t, r, "live/cam?key="+right, gen.Options{})
	p.atLeast(20)
	shown := fetch(t, r.url("admin", "/api/v1/streams")) + fetch(t, r.url("admin", "/metrics")) + r.output()
	if strings.Contains(shown, right) || strings.Contains(shown, wrong) {
		t.Error("a key is shown")
	}

	need(t, "ffmpeg")
	said := func(key string) string {
		f := pushing(t, r.url("rtmp", "/live/other?key="+key), source{picture: "640x360", tone: true, length: 2 * time.Second})
		_ = f.wait(patience)
		return f.output()
	}
	if out := said(wrong); !strings.Contains(out, "publish key") {
		t.Errorf("ffmpeg does not show why it was refused:\n%s", out)
	}
	if out := said(right); strings.Contains(out, "rror") {
		t.Errorf("ffmpeg with the right key:\n%s", out)
	}
}

// The relay ends while people watch: they see the end, and nothing waits for them.
func TestDrain(t *testing.T) {
	t.Parallel()
	r := start(t)
	const stream = "live/cam"
	p := publish(t, r, stream, gen.Options{Source: 1})
	p.atLeast(20)
	viewers := both(t, r, stream)
	for _, v := range viewers {
		v.joins()
	}
	p.atLeast(120)
	began := time.Now()
	r.stop()
	for _, v := range viewers {
		v.ends()
	}
	if took := time.Since(began); took > slack(2*time.Second) {
		t.Errorf("the relay took %v to end", took)
	}
	p.halt()
	if why := p.closed(); !strings.Contains(why, "shutting down") {
		t.Errorf("the push was told %q", why)
	}
	if l := r.broke(0); !l.is("push closed") || l.str("cause") != "shutdown" {
		t.Errorf("the push was closed by %q", l.str("cause"))
	}
	if c, err := net.Dial("tcp", r.addrs["admin"]); err == nil {
		_ = c.Close()
		t.Error("the relay still answers")
	}
}
