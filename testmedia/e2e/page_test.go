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

// says waits until the page says the word of a state.
func (p *page) says(word string) {
	p.t.Helper()
	p.waitFor(within(p.t), "document.getElementById('word').textContent === "+literal(word))
}

// plays waits until so many pictures more than now have been decoded, and the clock has gone on.
func (p *page) plays(pictures int) {
	p.t.Helper()
	p.eval(nil, "window.from = [video.getVideoPlaybackQuality().totalVideoFrames, video.currentTime]")
	p.waitFor(within(p.t), "video.getVideoPlaybackQuality().totalVideoFrames > from[0] + "+literal(pictures)+" && video.currentTime > from[1] + "+literal(float64(pictures)/50))
}

// pageStats is what a page tells of itself.
type pageStats struct {
	Way, State                            string
	Latency, Behind                       float64
	Offline                               bool
	Dials, Messages, Repeated, Missing    int
	Exact, Keyframe, Ranges, Jumps, Loads int
}

func (p *page) stats() (s pageStats) {
	p.t.Helper()
	p.eval(&s, "holdfast")
	return s
}

// watched notes what must not happen to the page's video: an end, an error, another source, a
// clock that goes back.
func (p *page) watched() {
	p.t.Helper()
	p.eval(nil, `(() => {
		window.faults = []
		window.words = [document.getElementById('word').textContent]
		const src = video.src
		let at = video.currentTime
		for (const e of ['ended', 'error', 'emptied', 'abort']) video.addEventListener(e, () => faults.push(e))
		setInterval(() => {
			if (video.src !== src) faults.push('another source')
			if (video.currentTime < at) faults.push('back from ' + at + ' to ' + video.currentTime)
			at = video.currentTime
			const word = document.getElementById('word').textContent
			if (words.at(-1) !== word) words.push(word)
		}, 30)
	})()`)
}

// unharmed asserts that nothing of that happened.
func (p *page) unharmed() {
	p.t.Helper()
	var faults []string
	p.eval(&faults, "faults")
	if len(faults) > 0 {
		p.t.Errorf("the video: %v", faults)
	}
}

// tolerable are the console's complaints that are none: a browser tells of every request that is
// refused and every socket that breaks.
func tolerable(said string) bool {
	for _, part := range []string{"a status of 409", "a status of 404", "WebSocket connection to", "ERR_"} {
		if strings.Contains(said, part) {
			return true
		}
	}
	return false
}

func (p *page) quiet() {
	p.t.Helper()
	for _, said := range p.said.all() {
		if !tolerable(said) {
			p.t.Errorf("the console says %s", said)
		}
	}
}

// The page at a stream's address waits for it, plays it by Media Source, stays over a break, and
// tells a hold, an end and what follows apart.
func TestPage(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := start(t, "--defaults.hold", "6s", "--defaults.hold_unpublish", "1s")
	const stream = "live/cam"
	b := browse(t)
	p := b.page(r.url("http", "/"+stream)) // without its slash
	p.says("not live yet")
	one := pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	p.says("live")
	p.plays(40)
	p.watched()
	if s := p.stats(); s.Way != "mse" {
		t.Errorf("it plays by %s", s.Way)
	}
	p.waitFor(within(t), "document.getElementById('facts').textContent.match(/640×360/) && document.getElementById('facts').textContent.match(/\\d s behind/)")
	one.kill()
	r.broke(0)
	p.says("held, last picture")
	p.waitFor(within(t), "document.getElementById('since').textContent.match(/^for [1-9]/)")
	p.eval(nil, "window.held = video.currentTime")
	p.waitFor(within(t), "video.currentTime > held + 2")
	two := pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	r.resumed(0)
	p.says("live")
	p.plays(40)
	p.unharmed()
	var words []string
	p.eval(&words, "words")
	if got := strings.Join(words, "; "); got != "live; held, last picture; live" {
		t.Errorf("it said %s", got)
	}
	p.waitFor(within(t), "document.getElementById('history').getAttribute('aria-label').includes('held once')")

	two.kill()
	p.says("ended")
	var dials int
	p.eval(&dials, "new Promise((done) => setTimeout(() => done(holdfast.dials), 3000))")
	if more := p.stats().Dials - dials; more > 2 {
		t.Errorf("%d dials since the end", more)
	}
	pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	p.says("live")
	p.plays(40)
	p.quiet()
}

// A browser publishes from the page, and is watched on another by either way.
func TestPagePublishes(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := start(t)
	b := browse(t)
	q := b.page(r.url("http", "/live/mine/?publish"))
	q.says("ready to publish")
	q.eval(nil, "document.getElementById('publish').click()")
	q.says("publishing")
	r.live("live/mine")
	p := b.page(r.url("http", "/live/mine/"))
	for _, by := range []string{"auto", "whep"} {
		p.eval(nil, "document.getElementById('by').value = "+literal(by)+", document.getElementById('by').dispatchEvent(new Event('change'))")
		p.says("live")
		p.plays(40)
	}
	p.waitFor(within(t), "holdfast.latency > 0 && holdfast.way === 'whep'")
	q.eval(nil, "document.getElementById('publish').click()")
	r.expect(0, "the page unpublishes", func(l logLine) bool {
		return l.is("push ended") && l.str("stream") == "live/mine" && l.str("cause") == "unpublish"
	})
	p.says("held, last picture")
	p.quiet()
	q.quiet()
}

// A page of a stream that asks for keys and tokens says so, and takes them.
func TestPageWithKeys(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	awaitBrowser(t)
	r := start(t, "--config", config(t, "defaults: {publish_keys: [sample-key], play_secret: sample-secret}\n"))
	b := browse(t)
	watching := b.page(r.url("http", "/live/cam/"))
	watching.says("refused")
	watching.waitFor(within(t), "document.getElementById('state').dataset.is === 'off' && document.getElementById('detail').textContent.includes('Ask the person who shared it') && !document.getElementById('again').hidden")
	p := b.page(r.url("http", "/live/cam/?publish"))
	p.eval(nil, "document.getElementById('publish').click()")
	p.waitFor(within(t), "document.getElementById('detail').textContent.includes('needs a publish key')")
	p.eval(nil, "document.getElementById('key').value = 'sample-key', document.getElementById('publish').click()")
	p.says("publishing")
	for _, by := range []string{"", "&by=whep"} {
		watching.open(r.url("http", "/live/cam/?token="+playToken(t, "sample-secret", "live/cam")+by))
		watching.says("live")
		watching.plays(20)
	}
	if out := r.output(); strings.Contains(out, "sample-key") || strings.Contains(out, "eyJ") {
		t.Error("a secret is in the log")
	}
}

// playToken is a play token for a stream, good for an hour.
func playToken(t testing.TB, secret, stream string) string {
	t.Helper()
	return playTokenUntil(t, secret, stream, time.Now().Add(time.Hour))
}

// playTokenUntil is a play token: a JWT with HS256.
func playTokenUntil(t testing.TB, secret, stream string, until time.Time) string {
	t.Helper()
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(map[string]string{"alg": "HS256", "typ": "JWT"}) + "." +
		part(map[string]any{"exp": until.Unix(), "stm": stream})
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
