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

// waitState waits until the page shows the word for a state.
func (p *page) waitState(word string) {
	p.t.Helper()
	p.waitFor(waitContext(p.t), "document.getElementById('word').textContent === "+literal(word))
}

// waitFrames waits until some frames more than now have been decoded and the video's clock has advanced.
func (p *page) waitFrames(frames int) {
	p.t.Helper()
	p.eval(nil, "window.from = [video.getVideoPlaybackQuality().totalVideoFrames, video.currentTime]")
	p.waitFor(waitContext(p.t), "video.getVideoPlaybackQuality().totalVideoFrames > from[0] + "+literal(frames)+" && video.currentTime > from[1] + "+literal(float64(frames)/50))
}

// pageStats are the statistics of a page.
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

// recordFaults records events that must not happen to the page's video: an end, an error, another source,
// a clock that goes back.
func (p *page) recordFaults() {
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

// checkNoFaults checks that none of these events happened.
func (p *page) checkNoFaults() {
	p.t.Helper()
	var faults []string
	p.eval(&faults, "faults")
	if len(faults) > 0 {
		p.t.Errorf("got video faults %v", faults)
	}
}

// isExpectedMessage reports whether a console message is no error: a browser logs every refused request
// and every broken socket.
func isExpectedMessage(output string) bool {
	for _, part := range []string{"a status of 409", "a status of 404", "WebSocket connection to", "ERR_"} {
		if strings.Contains(output, part) {
			return true
		}
	}
	return false
}

func (p *page) checkConsole() {
	p.t.Helper()
	for _, output := range p.messages.all() {
		if !isExpectedMessage(output) {
			p.t.Errorf("got console message %s", output)
		}
	}
}

// TestPage checks that the page at a stream's address waits for the stream, plays it with Media Source,
// keeps playing over a break, and shows holds and ends.
func TestPage(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := startRelay(t, "--defaults.hold", "6s", "--defaults.hold_unpublish", "1s")
	const stream = "live/cam"
	b := startBrowser(t)
	p := b.openPage(r.url("http", "/"+stream)) // without the trailing slash
	p.waitState("not live yet")
	one := startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	p.waitState("live")
	p.waitFrames(40)
	p.recordFaults()
	if s := p.stats(); s.Way != "mse" {
		t.Errorf("got playback with %s", s.Way)
	}
	p.waitFor(waitContext(t), "document.getElementById('facts').textContent.match(/640×360/) && document.getElementById('facts').textContent.match(/\\d s behind/)")
	one.kill()
	r.waitBreak(0)
	p.waitState("held, last picture")
	p.waitFor(waitContext(t), "document.getElementById('since').textContent.match(/^for [1-9]/)")
	p.eval(nil, "window.held = video.currentTime")
	p.waitFor(waitContext(t), "video.currentTime > held + 2")
	two := startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	r.waitResume(0)
	p.waitState("live")
	p.waitFrames(40)
	p.checkNoFaults()
	var words []string
	p.eval(&words, "words")
	if got := strings.Join(words, "; "); got != "live; held, last picture; live" {
		t.Errorf("got state %s", got)
	}
	p.waitFor(waitContext(t), "document.getElementById('history').getAttribute('aria-label').includes('held once')")

	two.kill()
	p.waitState("ended")
	var dials int
	p.eval(&dials, "new Promise((done) => setTimeout(() => done(holdfast.dials), 3000))")
	if more := p.stats().Dials - dials; more > 2 {
		t.Errorf("got %d dials since the end", more)
	}
	startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	p.waitState("live")
	p.waitFrames(40)
	p.checkConsole()
}

// TestPagePublishes publishes from a page and plays on another page with each protocol.
func TestPagePublishes(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := startRelay(t)
	b := startBrowser(t)
	q := b.openPage(r.url("http", "/live/mine/?publish"))
	q.waitState("ready to publish")
	q.eval(nil, "document.getElementById('publish').click()")
	q.waitState("publishing")
	r.waitLive("live/mine")
	p := b.openPage(r.url("http", "/live/mine/"))
	for _, by := range []string{"auto", "whep"} {
		p.eval(nil, "document.getElementById('by').value = "+literal(by)+", document.getElementById('by').dispatchEvent(new Event('change'))")
		p.waitState("live")
		p.waitFrames(40)
	}
	p.waitFor(waitContext(t), "holdfast.latency > 0 && holdfast.way === 'whep'")
	q.eval(nil, "document.getElementById('publish').click()")
	r.waitLog(0, "the page unpublishes", func(l logLine) bool {
		return l.is("push ended") && l.str("stream") == "live/mine" && l.str("cause") == "unpublish"
	})
	p.waitState("held, last picture")
	p.checkConsole()
	q.checkConsole()
}

// TestPageWithKeys checks that the page asks for keys and tokens where a stream requires them.
func TestPageWithKeys(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium")
	awaitBrowser(t)
	r := startRelay(t, "--config", config(t, "defaults: {publish_keys: [sample-key], play_secret: sample-secret}\n"))
	b := startBrowser(t)
	watching := b.openPage(r.url("http", "/live/cam/"))
	watching.waitState("refused")
	watching.waitFor(waitContext(t), "document.getElementById('state').dataset.is === 'off' && document.getElementById('detail').textContent.includes('Ask the person who shared it') && !document.getElementById('again').hidden")
	p := b.openPage(r.url("http", "/live/cam/?publish"))
	p.eval(nil, "document.getElementById('publish').click()")
	p.waitFor(waitContext(t), "document.getElementById('detail').textContent.includes('needs a publish key')")
	p.eval(nil, "document.getElementById('key').value = 'sample-key', document.getElementById('publish').click()")
	p.waitState("publishing")
	for _, by := range []string{"", "&by=whep"} {
		watching.open(r.url("http", "/live/cam/?token="+playToken(t, "sample-secret", "live/cam")+by))
		watching.waitState("live")
		watching.waitFrames(20)
	}
	if out := r.output(); strings.Contains(out, "sample-key") || strings.Contains(out, "eyJ") {
		t.Error("got a secret in the log")
	}
}

// playToken returns a play token for a stream, valid for an hour.
func playToken(t testing.TB, secret, stream string) string {
	t.Helper()
	return playTokenUntil(t, secret, stream, time.Now().Add(time.Hour))
}

// playTokenUntil returns a play token: a JWT with HS256.
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
