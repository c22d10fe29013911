//go:build unix

package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// The page at a stream's address plays it, stays over breaks, waits for a stream that has
// ended, and publishes.
func TestPage(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	r := start(t, "--defaults.hold_unpublish", "1s")
	const stream = "live/cam"
	b := browse(t)
	p := b.page(r.url("http", "/"+stream)) // without its slash
	is := func(state, word string) {
		t.Helper()
		p.waitFor(within(t), "document.getElementById('state').dataset.is === "+literal(state)+" && document.getElementById('word').textContent === "+literal(word))
	}
	plays := func() {
		t.Helper()
		p.eval(nil, "window.from = document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames")
		p.waitFor(within(t), "document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames > window.from + 40")
	}
	is("retry", "not live")
	one := pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	is("live", "live")
	plays()
	p.waitFor(within(t), "document.getElementById('facts').textContent.includes('640×360')")
	one.kill()
	r.broke(0)
	two := pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true, length: 3 * time.Second})
	r.resumed(0)
	plays()
	is("live", "live")
	if err := two.wait(patience); err != nil {
		t.Error(err)
	}
	is("retry", "not live")

	q := b.page(r.url("http", "/live/mine/?publish"))
	q.waitFor(within(t), "document.getElementById('word').textContent === 'ready to publish'")
	q.eval(nil, "document.getElementById('publish').click()")
	q.waitFor(within(t), "document.getElementById('word').textContent === 'publishing'")
	r.live("live/mine")
	p.open(r.url("http", "/live/mine/"))
	is("live", "live")
	plays()
	q.eval(nil, "document.getElementById('publish').click()")
	r.expect(0, "the page unpublishes", func(l line) bool {
		return l.is("push broke") && l.str("stream") == "live/mine" && l.str("cause") == "unpublish"
	})
	for _, said := range append(p.said.all(), q.said.all()...) {
		// A browser tells of every request that is refused: a poll, or an end that was one before.
		if !strings.Contains(said, "a status of 409") && !strings.Contains(said, "a status of 404") {
			t.Errorf("the console says %s", said)
		}
	}
}

// A page of a stream that asks for keys and tokens says so, and takes them.
func TestPageWithKeys(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	r := start(t, "--config", config(t, "defaults: {publish_keys: [sample-key], play_secret: sample-secret}\n"))
	b := browse(t)
	watching := b.page(r.url("http", "/live/cam/"))
	watching.waitFor(within(t), "document.getElementById('state').dataset.is === 'off' && document.getElementById('detail').textContent.includes('needs a play token')")
	p := b.page(r.url("http", "/live/cam/?publish"))
	p.eval(nil, "document.getElementById('publish').click()")
	p.waitFor(within(t), "document.getElementById('detail').textContent.includes('needs a publish key')")
	p.eval(nil, "document.getElementById('key').value = 'sample-key', document.getElementById('publish').click()")
	p.waitFor(within(t), "document.getElementById('word').textContent === 'publishing'")
	watching.open(r.url("http", "/live/cam/?token="+playToken(t, "sample-secret", "live/cam")))
	watching.waitFor(within(t), "document.getElementById('word').textContent === 'live' && document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames > 20")
	if out := r.output(); strings.Contains(out, "sample-key") || strings.Contains(out, "eyJ") {
		t.Error("a secret is in the log")
	}
}

// playToken is a play token for a stream: a JWT with HS256.
func playToken(t testing.TB, secret, stream string) string {
	t.Helper()
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(map[string]string{"alg": "HS256", "typ": "JWT"}) + "." +
		part(map[string]any{"exp": time.Now().Add(time.Hour).Unix(), "stm": stream})
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
