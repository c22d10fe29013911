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

// call sends the page's tab a command of the browser's protocol.
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

// A play ends with its token: the page says that it is refused, and asks no more.
func TestPageTokenExpires(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	const stream = "live/cam"
	settings := []string{"--config", config(t, "defaults: {play_secret: sample-secret}\n")}
	f := newFront(t, false)
	r := start(t, settings...)
	f.before(r)
	pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	r.expect(0, "the stream is live", func(l logLine) bool { return l.is("publish accepted") })
	b := browse(t)
	ends := time.Now().Add(10*time.Second + slack(5*time.Second)).Truncate(time.Second)
	var pages []*page
	for _, by := range []string{"mse", "whep", "hls"} {
		p := b.page(f.URL + "/" + stream + "/?by=" + by + "&token=" + playTokenUntil(t, "sample-secret", stream, ends))
		p.says("live")
		pages = append(pages, p)
	}
	if late := time.Since(ends); late > 0 {
		t.Fatalf("not all play %v after the token's end", late)
	}
	for _, p := range pages {
		if s := p.stats(); s.State != "live" || s.Dials > 1 {
			t.Errorf("before the token's end: %+v", s)
		}
	}
	wait(t, time.Until(ends))
	for _, p := range pages {
		p.says("refused")
		p.waitFor(within(t), "document.getElementById('state').dataset.is === 'off' && document.getElementById('detail').textContent.includes('link has expired') && !document.getElementById('again').hidden")
	}
	wait(t, time.Second) // for what was under way
	asked := f.asked.Load()
	wait(t, 3*time.Second)
	if more := f.asked.Load() - asked; more > 0 {
		t.Errorf("pages that were refused asked %d times more", more)
	}
}

// A tab that nobody looks at asks for no more than before, also while the relay is away; looked at
// again it is live at once.
func TestPageHidden(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	const stream = "live/cam"
	f := newFront(t, false)
	r := start(t)
	f.before(r)
	pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	r.live(stream)
	p := browse(t).page(f.URL + "/" + stream + "/")
	p.says("live")
	p.plays(25)
	p.looked(false)
	wait(t, 5*time.Second)
	if s := p.stats(); s.Dials != 1 {
		t.Errorf("hidden, %d dials", s.Dials)
	}
	p.looked(true)
	p.near(within(t), "of a stream that went on")

	p.looked(false)
	r.stop()
	wait(t, 8*time.Second)
	dials := p.stats().Dials
	if dials > 8 {
		t.Errorf("hidden, %d dials while the relay was away for 8 s", dials)
	}
	again := start(t)
	f.before(again)
	pushing(t, again.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	again.live(stream)
	p.looked(true)
	p.near(within(t), "of a relay that was away")
}

// looked has the tab be looked at, or not.
func (p *page) looked(at bool) {
	p.t.Helper()
	state := cdpbrowser.WindowStateMinimized
	if at {
		state = cdpbrowser.WindowStateNormal
	}
	window := call(p, cdpbrowser.GetWindowForTarget, cdpbrowser.GetWindowForTargetParams{})
	call(p, cdpbrowser.SetWindowBounds, cdpbrowser.SetWindowBoundsParams{WindowID: window.WindowID, Bounds: &cdpbrowser.Bounds{WindowState: state}})
	p.waitFor(within(p.t), "document.hidden === "+literal(!at))
	p.eval(nil, "window.since = performance.now()")
}

// near waits until the page plays near to what is live, and asserts that this took a second.
func (p *page) near(ctx context.Context, what string) {
	p.t.Helper()
	var took float64
	p.waitFor(ctx, "holdfast.state === 'live' && holdfast.behind < 1.5 && !video.paused && !video.seeking")
	p.eval(&took, "performance.now() - since")
	if limit := slack(time.Second); took > float64(limit.Milliseconds()) {
		p.t.Errorf("%s: live %.0f ms after it was looked at", what, took)
	}
	p.plays(10)
	p.t.Logf("%s: live %.0f ms after it was looked at", what, took)
}

// By day and by night all words are read, and all signs seen; what turns stands still for those
// who want it so.
func TestPageByNight(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	awaitBrowser(t)
	r := start(t)
	p := browse(t).page(r.url("http", "/live/cam/"))
	p.says("not live yet")
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
				t.Errorf("%s, %s: %+v", scheme, motion, seen)
			}
		}
	}
	p.quiet()
}

// contrasts tells what is too faint on the page's ground: of text less than 4.5 to 1, of signs
// less than 3 (WCAG 2.2, 1.4.3 and 1.4.11).
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

// Where there is but the managed kind of Media Source, as on a phone of one make, the page plays
// by it, and gives up the playing on other devices without which it is not to be had.
func TestPageByManagedMediaSource(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := start(t)
	const stream = "live/cam"
	one := pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	r.live(stream)
	p := browse(t).clients()
	p.begins(`(() => {
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
	p.says("live")
	p.plays(40)
	p.watched()
	one.kill()
	r.broke(0)
	p.says("held, last picture")
	pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	p.says("live")
	p.plays(40)
	p.unharmed()
	var plain string
	p.eval(&plain, "typeof MediaSource")
	if s := p.stats(); s.Way != "mse" || s.Dials != 1 || plain != "undefined" {
		t.Errorf("%+v, MediaSource is %s", s, plain)
	}
	p.quiet()
}
