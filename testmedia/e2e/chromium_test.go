//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// browser is a headless Chromium of one test, which may kill it.
type browser struct {
	t        testing.TB
	ctx      context.Context
	blank    *httptest.Server // serves the page in which scripts run
	messages *list[string]    // messages from outside of pages
}

// browsing is held by the test that has a browser. Only one test may have one, since a browser uses all of
// the CPU and tests with time limits run beside it.
var browsing = make(chan struct{}, 1)

// awaited holds the names of the tests that have the browser.
var awaited sync.Map

// awaitBrowser waits until the test may use the browser. Call it first in a test: nothing that is pushed
// or timed may run while other tests have the browser.
func awaitBrowser(t testing.TB) {
	t.Helper()
	requirePrograms(t, "chromium")
	if _, began := started.Load(t.Name()); began {
		t.Fatal("awaitBrowser was called after startRelay")
	}
	browsing <- struct{}{}
	awaited.Store(t.Name(), true)
	t.Cleanup(func() {
		awaited.Delete(t.Name())
		<-browsing
	})
}

// startBrowser starts Chromium; see awaitBrowser. Its camera shows a clock, its microphone beeps, and it
// asks for no permission. ICE candidates contain real addresses, including loopback.
func startBrowser(t testing.TB) *browser {
	t.Helper()
	if _, ok := awaited.Load(t.Name()); !ok {
		t.Fatal("startBrowser was called without awaitBrowser")
	}
	dir, err := os.MkdirTemp("", "hf-") //nolint:usetesting // the path of a socket in it must be short
	if err != nil {
		t.Fatal(err)
	}
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // Chromium's sandbox does not support root
		chromedp.Flag("use-fake-device-for-media-stream", "fps=30"),
		chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		chromedp.Flag("disable-features", "Translate,BlinkGenPropertyTrees,WebRtcHideLocalIpsWithMdns"),
		chromedp.Flag("allow-loopback-in-peer-connection", true),
		chromedp.Flag("mute-audio", false), // or scripts would hear nothing either
		chromedp.UserDataDir(filepath.Join(dir, "profile")),
		chromedp.Env("TMPDIR="+dir),
		chromedp.WSURLReadTimeout(waitLimit),
	)
	b := &browser{t: t, messages: newList[string]()}
	complain := chromedp.WithErrorf(func(format string, args ...any) { b.messages.add(fmt.Sprintf(format, args...)) })
	allocator, freed := chromedp.NewExecAllocator(context.Background(), flags...)
	ctx, cancel := chromedp.NewContext(allocator, complain)
	b.ctx = ctx
	t.Cleanup(func() {
		cancel()
		freed()
		chromedp.FromContext(ctx).Allocator.Wait()
		_ = os.RemoveAll(dir)
		if t.Failed() {
			t.Logf("Chromium:\n%s", strings.Join(b.messages.all(), "\n"))
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	b.blank = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, "<!doctype html><title>e2e</title><body><script>%s\n%s\n%s</script>", sessionScript, whipScript, whepScript)
	}))
	t.Cleanup(b.blank.Close)
	return b
}

// kill kills the browser, as a crash would.
func (b *browser) kill() {
	b.t.Helper()
	if err := chromedp.FromContext(b.ctx).Browser.Process().Kill(); err != nil {
		b.t.Error(err)
	}
}

// page is a page in its own window, so that no page is in the background.
type page struct {
	t        testing.TB
	ctx      context.Context
	close    func()
	messages *list[string] // console messages and uncaught errors
}

// openPage opens a page at a URL.
func (b *browser) openPage(url string) *page {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	p := &page{t: b.t, ctx: ctx, close: cancel, messages: newList[string]()}
	var reading sync.WaitGroup
	console := chromedp.Console(ctx)
	reading.Go(func() {
		for m, err := range console {
			if err != nil {
				break
			}
			p.messages.add(m.String())
		}
	})
	b.t.Cleanup(func() {
		cancel()
		reading.Wait()
		if b.t.Failed() {
			b.t.Logf("console of %s:\n%s", url, strings.Join(p.messages.all(), "\n"))
		}
	})
	p.open(url)
	return p
}

// openClientPage opens a page with scripts that publish and view.
func (b *browser) openClientPage() *page {
	b.t.Helper()
	return b.openPage(b.blank.URL)
}

func (p *page) open(url string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, waitLimit)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		p.t.Fatalf("open %s: %v", url, err)
	}
}

// tryEval evaluates an expression, which may be a promise, and stores its value in out, unless out is nil.
// It returns an error if the expression throws.
func (p *page) tryEval(ctx context.Context, out any, js string) error {
	within, cancel := context.WithCancel(p.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	value, err := chromedp.Run(within, chromedp.Evaluate[[]byte]("(async () => (await ("+js+")) ?? null)()", chromedp.EvalAwaitPromise))
	if err != nil {
		return errors.Join(fmt.Errorf("evaluate %.200s: %w", js, err), ctx.Err())
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(value, out)
}

// eval is like tryEval but fails the test on an error.
func (p *page) eval(out any, js string) {
	p.t.Helper()
	if err := p.tryEval(waitContext(p.t), out, js); err != nil {
		p.t.Fatal(err)
	}
}

// waitFor waits until an expression is true.
func (p *page) waitFor(ctx context.Context, js string) {
	p.t.Helper()
	err := p.tryEval(ctx, nil, `new Promise((done, fail) => {
		const look = async () => {
			try { if (await (`+js+`)) done(); else setTimeout(look, 20) } catch (e) { fail(e) }
		}
		look()
	})`)
	if err != nil {
		p.t.Fatalf("wait for %s: %v", js, err)
	}
}

// literal returns a value as a JavaScript literal.
func literal(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// sessionScript is shared by publishers and viewers. If proxyPort is set before the answer arrives, media
// goes through a proxy on loopback: the relay receives no candidate of the client, and the client replaces
// the relay's candidates with the proxy.
const sessionScript = `
const now = () => performance.now()
const pause = (ms) => new Promise((done) => setTimeout(done, ms))

class Session {
	constructor(o) {
		this.o = o
		this.proxyPort = o.proxyPort
		this.pc = new RTCPeerConnection()
		this.states = []
		this.pc.onconnectionstatechange = () => this.states.push([this.pc.connectionState, now()])
	}
	get state() { return this.pc.connectionState }
	headers(more) {
		return this.o.key ? { ...more, Authorization: 'Bearer ' + this.o.key } : more
	}
	async negotiate() {
		await this.pc.setLocalDescription()
		if (this.o.gather && !this.o.proxied) {
			while (this.pc.iceGatheringState !== 'complete') await pause(5)
		}
		this.offer = this.pc.localDescription.sdp
		if (this.o.proxied) this.offer = this.offer.replace(/^a=(candidate|end-of-candidates).*\r\n/gm, '')
		this.posted = now()
		const r = await fetch(this.o.url, { method: 'POST', body: this.offer, headers: this.headers({ 'Content-Type': 'application/sdp' }) })
		this.status = r.status
		const text = await r.text()
		if (r.status !== 201) throw new Error('POST: ' + r.status + ' ' + text)
		this.answered = now()
		this.url = new URL(r.headers.get('Location'), r.url || new URL(this.o.url, location)).href
		this.etag = r.headers.get('ETag')
		this.answer = text
		await this.pc.setRemoteDescription({ type: 'answer', sdp: this.throughProxy(text) })
	}
	throughProxy(sdp) {
		if (!this.o.proxied) return sdp
		const lines = []
		for (const line of sdp.split('\r\n')) {
			const c = line.split(' ')
			if (!line.startsWith('a=candidate:')) lines.push(line)
			else if (c[2].toLowerCase() === 'udp' && !lines.includes(this.candidate)) {
				this.candidate = [c[0], c[1], c[2], c[3], '127.0.0.1', this.proxyPort, 'typ', 'host'].join(' ')
				lines.push(this.candidate)
			}
		}
		return lines.join('\r\n')
	}
	async restart() {
		const sections = await (async () => {
			await this.pc.setLocalDescription(await this.pc.createOffer({ iceRestart: true }))
			return this.pc.localDescription.sdp.split(/^(?=m=)/m)
		})()
		const keep = /^(m=|a=(mid|ice-ufrag|ice-pwd|ice-options|group):?)/
		const fragment = sections.map((s) => s.split('\r\n').filter((l) => keep.test(l)).map((l) => l + '\r\n').join('')).join('')
		const r = await fetch(this.url, {
			method: 'PATCH', body: fragment, headers: this.headers({ 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': '*' }),
		})
		const text = await r.text()
		if (r.status !== 200) throw new Error('PATCH: ' + r.status + ' ' + text)
		this.etag = r.headers.get('ETag')
		const find = (re) => (text.match(re) ?? [''])[0]
		const credentials = [find(/^a=ice-ufrag:.*$/m), find(/^a=ice-pwd:.*$/m)].map((l) => l.trim())
		const candidates = [...new Set(text.match(/^a=candidate:.*$/gm) ?? [])].map((l) => l.trim() + '\r\n').join('')
		let sdp = this.answer.replace(/^a=(candidate|end-of-candidates).*\r\n/gm, '')
			.replace(/^a=ice-ufrag:.*$/gm, credentials[0]).replace(/^a=ice-pwd:.*$/gm, credentials[1])
		sdp = sdp.replace(/^(a=mid:.*\r\n)/m, '$1' + candidates)
		this.answer = sdp
		await this.pc.setRemoteDescription({ type: 'answer', sdp: this.throughProxy(sdp) })
	}
	async leave() {
		const r = await fetch(this.url, { method: 'DELETE', headers: this.headers({}) })
		this.pc.close()
		return r.status
	}
	async line() {
		const all = [...(await this.pc.getStats()).values()]
		const used = all.find((s) => s.type === 'transport')?.selectedCandidatePairId
		const pair = all.find((s) => s.id === used)
		return { all, rtt: (pair?.currentRoundTripTime ?? 0) * 1000, remote: all.find((s) => s.id === pair?.remoteCandidateId) }
	}
}
const sessions = {}
`
