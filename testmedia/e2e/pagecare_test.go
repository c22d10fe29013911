//go:build unix

package e2e

import (
	"context"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// call sends a DevTools protocol command to the page's tab.
func call[P, R any](p *page, method cdp.Command[P, R], params P) R {
	p.t.Helper()
	out, err := chromedp.Run(p.ctx, func(ctx context.Context, t *chromedp.Target) (R, error) {
		return cdp.Call(ctx, t, method, params)
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// TestPageTokenExpires checks that playback ends with its token: the page shows that it is refused and
// sends no more requests.
func TestPageTokenExpires(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	const stream = "live/cam"
	settings := []string{"--config", config(t, "defaults: {play_secret: sample-secret}\n")}
	f := newFront(t, false)
	r := startRelay(t, settings...)
	f.setRelay(r)
	startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	r.waitLog(0, "the stream is live", func(l logLine) bool { return l.is("publish accepted") })
	b := startBrowser(t)
	ends := time.Now().Add(10*time.Second + slack(5*time.Second)).Truncate(time.Second)
	var pages []*page
	for _, by := range []string{"mse", "whep", "hls"} {
		p := b.openPage(f.URL + "/" + stream + "/?by=" + by + "&token=" + playTokenUntil(t, "sample-secret", stream, ends))
		p.waitState("live")
		pages = append(pages, p)
	}
	if late := time.Since(ends); late > 0 {
		t.Fatalf("not all pages play %v after the token's end", late)
	}
	for _, p := range pages {
		if s := p.stats(); s.State != "live" || s.Dials > 1 {
			t.Errorf("before the token's end: got %+v", s)
		}
	}
	sleep(t, time.Until(ends))
	for _, p := range pages {
		p.waitState("refused")
		p.waitFor(waitContext(t), "document.getElementById('state').dataset.is === 'off' && document.getElementById('detail').textContent.includes('link has expired') && !document.getElementById('again').hidden")
	}
	sleep(t, time.Second) // for requests in flight
	asked := f.requests.Load()
	sleep(t, 3*time.Second)
	if more := f.requests.Load() - asked; more > 0 {
		t.Errorf("got %d more requests of pages that were refused", more)
	}
}

// TestPageHidden checks that a hidden tab sends no more requests than a visible one, also while the relay
// is down, and is live at once when it becomes visible.
func TestPageHidden(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	const stream = "live/cam"
	f := newFront(t, false)
	r := startRelay(t)
	f.setRelay(r)
	startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	r.waitLive(stream)
	p := startBrowser(t).openPage(f.URL + "/" + stream + "/")
	p.waitState("live")
	p.waitFrames(25)
	p.setVisible(false)
	sleep(t, 5*time.Second)
	if s := p.stats(); s.Dials != 1 {
		t.Errorf("hidden: got %d dials", s.Dials)
	}
	p.setVisible(true)
	p.waitNearLive(waitContext(t), "of a stream that went on")

	p.setVisible(false)
	r.stop()
	sleep(t, 8*time.Second)
	dials := p.stats().Dials
	if dials > 8 {
		t.Errorf("hidden: got %d dials while the relay was down for 8 s", dials)
	}
	again := startRelay(t)
	f.setRelay(again)
	startEncoder(t, again.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	again.waitLive(stream)
	p.setVisible(true)
	p.waitNearLive(waitContext(t), "of a relay that was away")
}

// setVisible shows or hides the tab.
func (p *page) setVisible(at bool) {
	p.t.Helper()
	state := cdpbrowser.WindowStateMinimized
	if at {
		state = cdpbrowser.WindowStateNormal
	}
	window := call(p, cdpbrowser.GetWindowForTarget, cdpbrowser.GetWindowForTargetParams{})
	call(p, cdpbrowser.SetWindowBounds, cdpbrowser.SetWindowBoundsParams{WindowID: window.WindowID, Bounds: &cdpbrowser.Bounds{WindowState: state}})
	p.waitFor(waitContext(p.t), "document.hidden === "+literal(!at))
	p.eval(nil, "window.since = performance.now()")
}

// waitNearLive waits until the page plays close to the live edge, and checks that this took at most a
// second.
func (p *page) waitNearLive(ctx context.Context, what string) {
	p.t.Helper()
	var took float64
	p.waitFor(ctx, "holdfast.state === 'live' && holdfast.behind < 1.5 && !video.paused && !video.seeking")
	p.eval(&took, "performance.now() - since")
	if limit := slack(time.Second); took > float64(limit.Milliseconds()) {
		p.t.Errorf("%s: live %.0f ms after it became visible", what, took)
	}
	p.waitFrames(10)
	p.t.Logf("%s: live %.0f ms after it became visible", what, took)
}

// TestPageColorSchemes checks contrast in both color schemes, and that animations stop for users who
// prefer reduced motion.
func TestPageColorSchemes(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium")
	awaitBrowser(t)
	r := startRelay(t)
	p := startBrowser(t).openPage(r.url("http", "/live/cam/"))
	p.waitState("not live yet")
	for _, scheme := range []string{"light", "dark"} {
		for motion, turns := range map[string]string{"reduce": "none", "no-preference": "turn"} {
			call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion},
			}})
			var seen struct {
				Turns string
				Dark  bool
				Faint []string
			}
			p.eval(&seen, contrasts)
			if seen.Turns != turns || seen.Dark != (scheme == "dark") || len(seen.Faint) > 0 {
				t.Errorf("%s, %s: got %+v", scheme, motion, seen)
			}
		}
	}
	p.checkConsole()
}

// contrasts returns what has too little contrast on the page: text less than 4.5 to 1, symbols less than 3
// (WCAG 2.2, 1.4.3 and 1.4.11).
const contrasts = `(() => {
	const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
	const light = (color) => {
		pen.clearRect(0, 0, 1, 1)
		pen.fillStyle = color
		pen.fillRect(0, 0, 1, 1)
		const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data
		if (a < 255) throw new Error(color + ' is not opaque')
		const linear = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
	}
	const sheet = document.body.appendChild(document.createElement('p'))
	sheet.style.backgroundColor = 'Canvas'
	const ground = light(getComputedStyle(sheet).backgroundColor)
	sheet.remove()
	const faint = []
	const check = (what, style, least) => {
		const l = light(style), ratio = (Math.max(l, ground) + 0.05) / (Math.min(l, ground) + 0.05)
		if (ratio < least) faint.push(what + ' ' + ratio.toFixed(2))
	}
	const state = document.getElementById('state'), was = state.dataset.is
	let turns
	for (const is of ['live', 'held', 'retry', 'absent', 'ended', 'off']) {
		state.dataset.is = is
		const sign = getComputedStyle(state.querySelector('strong'), '::before')
		if (is === 'retry') turns = sign.animationName
		check('the sign of ' + is, sign.color, 3)
		check('the word of ' + is, getComputedStyle(document.getElementById('word')).color, 4.5)
	}
	state.dataset.is = was
	for (const e of document.querySelectorAll('h1, figcaption, legend, label, #detail, #facts')) check(e.tagName + ' ' + e.id, getComputedStyle(e).color, 4.5)
	for (const e of document.querySelectorAll('.key')) check('the key ' + e.textContent, getComputedStyle(e, '::before').backgroundColor, 3)
	return { turns, dark: ground < 0.2, faint }
})()`

// TestPageByManagedMediaSource checks that where only ManagedMediaSource exists, as on iPhones, the page
// plays with it, and disables remote playback, which it requires.
func TestPageByManagedMediaSource(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := startRelay(t)
	const stream = "live/cam"
	one := startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	r.waitLive(stream)
	p := startBrowser(t).openClientPage()
	p.addInitScript(`(() => {
		const Plain = window.MediaSource
		delete window.MediaSource
		window.ManagedMediaSource = class extends Plain {
			streaming = false
			constructor() {
				super()
				const tell = (streaming) => () => {
					if (this.streaming === streaming) return
					this.streaming = streaming
					this.dispatchEvent(new Event(streaming ? 'startstreaming' : 'endstreaming'))
				}
				this.addEventListener('sourceopen', tell(true))
				setInterval(tell(false), 700)
				setInterval(tell(true), 1000)
			}
		}
		const made = URL.createObjectURL
		URL.createObjectURL = (of) => {
			if (of instanceof ManagedMediaSource && !document.getElementById('video').disableRemotePlayback) throw new Error('not with playing on other devices')
			return made(of)
		}
	})()`)
	p.open(r.url("http", "/"+stream+"/"))
	p.waitState("live")
	p.waitFrames(40)
	p.recordFaults()
	one.kill()
	r.waitBreak(0)
	p.waitState("held, last picture")
	startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	p.waitState("live")
	p.waitFrames(40)
	p.checkNoFaults()
	var plain string
	p.eval(&plain, "typeof MediaSource")
	if s := p.stats(); s.Way != "mse" || s.Dials != 1 || plain != "undefined" {
		t.Errorf("got %+v, MediaSource is %s", s, plain)
	}
	p.checkConsole()
}
