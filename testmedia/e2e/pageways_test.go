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

// begins has every document that is opened begin with a script.
func (p *page) begins(script string) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	})); err != nil {
		p.t.Fatal(err)
	}
}

// Where Media Source does not take the stream's codec, WebRTC does; where that is not wanted, the
// page names the codec.
func TestPageFallsBack(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := start(t)
	pushing(t, r.url("rtmp", "/live/cam"), source{picture: "640x360", tone: true})
	r.live("live/cam")
	p := browse(t).clients()
	p.begins("MediaSource.isTypeSupported = (type) => !type.includes('avc1')")
	p.open(r.url("http", "/live/cam/"))
	p.says("live")
	p.plays(20)
	if s := p.stats(); s.Way != "whep" {
		t.Errorf("it plays by %s", s.Way)
	}
	p.open(r.url("http", "/live/cam/?by=mse"))
	p.says("refused")
	p.waitFor(within(t), "document.getElementById('detail').textContent.includes('avc1')")
	p.quiet()
}

// A codec that no file carries plays by WebRTC; who asked for HLS is told that it does not.
func TestPageWithoutFiles(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := start(t)
	pushCoded(t, r, "live/cam", encode(t, "vp08", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=60", "-g", "25", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"))
	p := browse(t).page(r.url("http", "/live/cam/?by=hls"))
	p.says("refused")
	p.waitFor(within(t), "document.getElementById('detail').textContent.includes('VP8 cannot be carried')")
	p.open(r.url("http", "/live/cam/"))
	p.says("live")
	p.plays(20)
	if s := p.stats(); s.Way != "whep" {
		t.Errorf("it plays by %s", s.Way)
	}
}

// The browser's own HLS stays over a push that is killed and starts again, with a play token.
func TestPageByHLS(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := start(t, "--config", config(t, "defaults: {publish_keys: [sample-key], play_secret: sample-secret}\n"))
	const stream = "live/cam"
	push := func() *program {
		return pushing(t, r.url("rtmp", "/"+stream+"?key=sample-key"), source{picture: "640x360", tone: true})
	}
	one := push()
	r.expect(0, "the stream is live", func(l logLine) bool { return l.is("publish accepted") })
	p := browse(t).page(r.url("http", "/"+stream+"/?by=hls&token="+playToken(t, "sample-secret", stream)))
	var native string
	p.eval(&native, "video.canPlayType('application/vnd.apple.mpegurl')")
	if native == "" {
		lacks(t, "this Chromium has no HLS of its own")
	}
	p.says("live")
	p.plays(25)
	p.watched()
	loads := p.stats().Loads
	one.kill()
	r.broke(0)
	p.says("held, last picture")
	p.eval(nil, "window.held = video.currentTime")
	p.waitFor(within(t), "video.currentTime > held + 2")
	push()
	r.resumed(0)
	p.says("live")
	p.plays(25)
	p.unharmed()
	if s := p.stats(); s.Way != "hls" || s.Loads != loads {
		t.Errorf("%+v", s)
	}
}

// In another page there is the video, a small line that says how it is, and nothing to publish by;
// the page with all else cannot be put in there by strangers.
func TestPageEmbedded(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := start(t)
	pushing(t, r.url("rtmp", "/live/cam"), source{picture: "640x360", tone: true})
	r.live("live/cam")
	b := browse(t)
	p := b.clients() // of another origin
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
		p.waitFor(within(t), "seen !== ''")
	}
	joined := `holdfast_viewer_joins_total{outcome="joined",protocol="mse"}`
	frame("?embed")
	deadline := time.Now().Add(patience)
	for r.metric(joined) < 1 && time.Now().Before(deadline) {
		wait(t, 50*time.Millisecond)
	}
	if n := r.metric(joined); n != 1 {
		t.Errorf("%v viewers in another's page", n)
	}
	frame("")
	wait(t, time.Second)
	if n := r.metric(joined); n != 1 {
		t.Errorf("%v viewers, with the page whole in another's", n)
	}
	p.open(r.url("http", "/live/cam/?embed&publish"))
	p.says("live")
	p.plays(10)
	var there []string
	p.eval(&there, "[...document.querySelectorAll('button, form, select, input')].filter((e) => e.checkVisibility()).map((e) => e.id)")
	if fmt.Sprint(there) != "[sound]" {
		t.Errorf("embedded, there are %v", there)
	}
}

// A publisher who comes back with sound, and then with a smaller picture and none, is played on
// by Media Source: a source buffer takes no other number of tracks.
func TestPageOverTracks(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := start(t)
	const stream = "live/cam"
	p := browse(t).page(r.url("http", "/"+stream+"/"))
	p.eval(nil, "window.errors = [], video.addEventListener('error', () => errors.push(video.error?.message))")
	for i, s := range []source{{picture: "640x360"}, {picture: "640x360", tone: true}, {picture: "320x180"}} {
		push := pushing(t, r.url("rtmp", "/"+stream), s)
		p.says("live")
		p.waitFor(within(t), "video.videoWidth === "+literal([]int{640, 640, 320}[i]))
		p.plays(25)
		push.kill()
		r.broke(i)
		p.says("held, last picture")
	}
	var errors []string
	p.eval(&errors, "errors")
	if s := p.stats(); len(errors) > 0 || s.Way != "mse" {
		t.Errorf("%v, %+v", errors, s)
	}
}

// Where media comes and no picture, the page begins afresh.
func TestPageStands(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := start(t)
	pushing(t, r.url("rtmp", "/live/cam"), source{picture: "640x360", tone: true})
	r.live("live/cam")
	p := browse(t).clients()
	p.begins(`(() => {
		const append = SourceBuffer.prototype.appendBuffer
		SourceBuffer.prototype.appendBuffer = function (data) {
			window.swallows ??= this
			if (this !== swallows) return append.call(this, data)
			setTimeout(() => this.dispatchEvent(new Event('updateend')))
		}
	})()`)
	p.open(r.url("http", "/live/cam/"))
	p.says("live")
	p.waitFor(within(t), "video.videoWidth === 640")
	p.plays(20)
	if s := p.stats(); s.Way != "mse" || s.Dials != 2 {
		t.Errorf("%+v", s)
	}
	p.quiet()
}
