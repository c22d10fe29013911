//go:build unix

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// addInitScript runs a script at the start of every document.
func (p *page) addInitScript(script string) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	})); err != nil {
		p.t.Fatal(err)
	}
}

// TestPageFallsBack checks that the page plays over WebRTC if Media Source does not support the codec, and
// names the codec if WebRTC is disabled.
func TestPageFallsBack(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := startRelay(t)
	startEncoder(t, r.url("rtmp", "/live/cam"), encoderSource{size: "640x360", tone: true})
	r.waitLive("live/cam")
	p := startBrowser(t).openClientPage()
	p.addInitScript("MediaSource.isTypeSupported = (type) => !type.includes('avc1')")
	p.open(r.url("http", "/live/cam/"))
	p.waitState("live")
	p.waitFrames(20)
	if s := p.stats(); s.Way != "whep" {
		t.Errorf("got playback with %s", s.Way)
	}
	p.open(r.url("http", "/live/cam/?by=mse"))
	p.waitState("refused")
	p.waitFor(waitContext(t), "document.getElementById('detail').textContent.includes('avc1')")
	p.checkConsole()
}

// TestPageWithWebRTCOnlyCodec checks that a codec that HLS cannot carry plays over WebRTC, and that a page
// that requests HLS gets an error.
func TestPageWithWebRTCOnlyCodec(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := startRelay(t)
	pushCoded(t, r, "live/cam", encode(t, "vp08", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=60", "-g", "25", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"))
	p := startBrowser(t).openPage(r.url("http", "/live/cam/?by=hls"))
	p.waitState("refused")
	p.waitFor(waitContext(t), "document.getElementById('detail').textContent.includes('VP8 cannot be carried')")
	p.open(r.url("http", "/live/cam/"))
	p.waitState("live")
	p.waitFrames(20)
	if s := p.stats(); s.Way != "whep" {
		t.Errorf("got playback with %s", s.Way)
	}
}

// TestPageByHLS checks that the browser's own HLS, with a play token, continues over a push that is killed
// and starts again.
func TestPageByHLS(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := startRelay(t, "--config", config(t, "defaults: {publish_keys: [sample-key], play_secret: sample-secret}\n"))
	const stream = "live/cam"
	push := func() *program {
		return startEncoder(t, r.url("rtmp", "/"+stream+"?key=sample-key"), encoderSource{size: "640x360", tone: true})
	}
	one := push()
	r.waitLog(0, "the stream is live", func(l logLine) bool { return l.is("publish accepted") })
	p := startBrowser(t).openPage(r.url("http", "/"+stream+"/?by=hls&token="+playToken(t, "sample-secret", stream)))
	var native string
	p.eval(&native, "video.canPlayType('application/vnd.apple.mpegurl')")
	if native == "" {
		skipOrFail(t, "this Chromium has no HLS of its own")
	}
	p.waitState("live")
	p.waitFrames(25)
	p.recordFaults()
	loads := p.stats().Loads
	one.kill()
	r.waitBreak(0)
	p.waitState("held, last picture")
	p.eval(nil, "window.held = video.currentTime")
	p.waitFor(waitContext(t), "video.currentTime > held + 2")
	push()
	r.waitResume(0)
	p.waitState("live")
	p.waitFrames(25)
	p.checkNoFaults()
	if s := p.stats(); s.Way != "hls" || s.Loads != loads {
		t.Errorf("got %+v", s)
	}
}

// TestPageEmbedded checks that the embedded page has only the video and its state, and no way to publish.
// The full page cannot be embedded by other origins.
func TestPageEmbedded(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := startRelay(t)
	startEncoder(t, r.url("rtmp", "/live/cam"), encoderSource{size: "640x360", tone: true})
	r.waitLive("live/cam")
	b := startBrowser(t)
	p := b.openClientPage() // another origin
	frame := func(query string) {
		t.Helper()
		p.eval(nil, fmt.Sprintf(`(() => {
			window.seen = ''
			document.querySelector('iframe')?.remove()
			const frame = document.createElement('iframe')
			frame.src = %s
			frame.allow = 'autoplay'
			frame.onload = () => { seen = 'loaded' }
			document.body.append(frame)
		})()`, literal(r.url("http", "/live/cam/"+query))))
		p.waitFor(waitContext(t), "seen !== ''")
	}
	joined := `holdfast_viewer_joins_total{outcome="joined",protocol="mse"}`
	frame("?embed")
	deadline := time.Now().Add(waitLimit)
	for r.metric(joined) < 1 && time.Now().Before(deadline) {
		sleep(t, 50*time.Millisecond)
	}
	if n := r.metric(joined); n != 1 {
		t.Errorf("got %v viewers in a page of another origin", n)
	}
	frame("")
	sleep(t, time.Second)
	if n := r.metric(joined); n != 1 {
		t.Errorf("got %v viewers with the full page in another origin's page", n)
	}
	p.open(r.url("http", "/live/cam/?embed&publish"))
	p.waitState("live")
	p.waitFrames(10)
	var there []string
	p.eval(&there, "[...document.querySelectorAll('button, form, select, input')].filter((e) => e.checkVisibility()).map((e) => e.id)")
	if fmt.Sprint(there) != "[sound]" {
		t.Errorf("the embedded page has %v", there)
	}
}

// TestPageTrackChanges checks that Media Source continues when a publisher returns with audio, and then
// with smaller video and no audio. A source buffer does not accept another number of tracks.
func TestPageTrackChanges(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := startRelay(t)
	const stream = "live/cam"
	p := startBrowser(t).openPage(r.url("http", "/"+stream+"/"))
	p.eval(nil, "window.errors = [], video.addEventListener('error', () => errors.push(video.error?.message))")
	for i, s := range []encoderSource{{size: "640x360"}, {size: "640x360", tone: true}, {size: "320x180"}} {
		push := startEncoder(t, r.url("rtmp", "/"+stream), s)
		p.waitState("live")
		p.waitFor(waitContext(t), "video.videoWidth === "+literal([]int{640, 640, 320}[i]))
		p.waitFrames(25)
		push.kill()
		r.waitBreak(i)
		p.waitState("held, last picture")
	}
	var errors []string
	p.eval(&errors, "errors")
	if s := p.stats(); len(errors) > 0 || s.Way != "mse" {
		t.Errorf("got errors %v and %+v", errors, s)
	}
}

// TestPageReloadsFrozenVideo checks that the page reloads the stream if media arrives but no frame is
// shown.
func TestPageReloadsFrozenVideo(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := startRelay(t)
	startEncoder(t, r.url("rtmp", "/live/cam"), encoderSource{size: "640x360", tone: true})
	r.waitLive("live/cam")
	p := startBrowser(t).openClientPage()
	p.addInitScript(`(() => {
		const append = SourceBuffer.prototype.appendBuffer
		SourceBuffer.prototype.appendBuffer = function (data) {
			window.swallows ??= this
			if (this !== swallows) return append.call(this, data)
			setTimeout(() => this.dispatchEvent(new Event('updateend')))
		}
	})()`)
	p.open(r.url("http", "/live/cam/"))
	p.waitState("live")
	p.waitFor(waitContext(t), "video.videoWidth === 640")
	p.waitFrames(20)
	if s := p.stats(); s.Way != "mse" || s.Dials != 2 {
		t.Errorf("got %+v", s)
	}
	p.checkConsole()
}
