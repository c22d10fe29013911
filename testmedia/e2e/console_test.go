//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// console is the page at the admin address.
type console struct {
	*page
}

// has waits until an element has a text.
func (c console) has(selector, text string) {
	c.t.Helper()
	c.waitFor(within(c.t), fmt.Sprintf("document.querySelector(%s)?.textContent.includes(%s) ?? false", literal(selector), literal(text)))
}

// does presses a button by its text and confirms.
func (c console) does(text string) {
	c.t.Helper()
	find := "[...document.querySelectorAll('#main button')].find((b) => b.textContent === " + literal(text) + ")"
	c.waitFor(within(c.t), "!!"+find)
	c.eval(nil, find+".click()")
	c.waitFor(within(c.t), "document.getElementById('confirm').open")
	c.eval(nil, "document.getElementById('confirm-yes').click()")
	c.has("#said", "Done.")
}

// quiet fails the test if the console of the browser has anything but what is allowed.
func (c console) quiet(but ...string) {
	c.t.Helper()
said:
	for _, said := range c.said.all() {
		for _, b := range but {
			if strings.Contains(said, b) {
				continue said
			}
		}
		c.t.Errorf("the console says %s", said)
	}
}

// The operator sees a stream live, held and live again without loading anything again, kicks its
// publisher and forces a route. What a publisher says of itself is text and nothing else.
func TestConsole(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	const stream, hostile = "live/cam", `<img src=x onerror=window.owned=1>`
	far := start(t)
	to := far.addrs["rtmp"]
	r := routing(t, group{list: "push", urls: []string{"rtmp://" + to + "/a/{name}", "rtmp://" + to + "/b/{name}"}, more: "failover: {rise: 1s}"})
	c := console{browse(t).page(r.url("admin", "/"))}
	c.has("#main", "There is no stream now.")
	c.has("#link", "connected")
	c.eval(nil, "window.same = 1")
	hostilely := func() *program {
		arguments := append(source{picture: "320x180", tone: true}.arguments(), "-rtmp_flashver", hostile)
		return ffmpeg(t, append(arguments, r.url("rtmp", "/"+stream))...)
	}
	one := hostilely()
	c.has(`tr[data-key="live/cam"] .state`, "live")
	one.kill()
	c.has(`tr[data-key="live/cam"] .state`, "held")
	hostilely()
	c.has(`tr[data-key="live/cam"] .state`, "live")

	c.eval(nil, `document.querySelector('tr[data-key="live/cam"] a').click()`)
	c.has("#state", "live")
	c.has("#main", hostile)
	c.has("#main", "320×180")
	c.has("#main", "resumed after")
	c.waitFor(within(t), "document.querySelectorAll('svg').length >= 6")
	publish(t, r, stream+"?backup=1", gen.Options{Source: 9})
	c.has("#main", "Spare (backup), ready")
	r.carries(stream, "a")
	c.does("Force b")
	r.carries(stream, "b")
	c.has("#main", "You have forced the route b.")
	c.does("Route: auto")
	r.carries(stream, "a")
	c.has(".charts", "fps, from") // the first of the samples
	c.has(".charts", "Lag of push cdn now")
	c.does("Kick the publisher")
	r.expect(0, "the kick", func(l logLine) bool { return l.is("push closed") && l.str("cause") == "kick" })
	var is string
	c.eval(&is, "window.same + ' ' + window.owned + ' ' + document.images.length")
	if is != "1 undefined 0" {
		t.Errorf("the page was loaded again, or what a publisher says was taken for markup: %s", is)
	}
	c.quiet()

	c.eval(nil, "document.querySelector('h1 a').click()")
	c.waitFor(within(t), `document.querySelector('[data-act="drain"]') !== null`)
	c.eval(nil, `document.querySelector('[data-act="drain"]').click()`)
	for _, asked := range []string{"as at SIGTERM", "Really?"} {
		c.has("#confirm[open]", asked)
		c.eval(nil, "document.getElementById('confirm-yes').click()")
	}
	r.expect(0, "the relay has ended", func(l logLine) bool { return l.is("stopped") })
	c.has("#link", "does not answer")
}

// Without the token there is a page that asks for it, and nothing else.
func TestConsoleWithToken(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	awaitBrowser(t)
	const token = "sample-token"
	r := start(t, "--admin.token", token)
	publish(t, r, "live/cam", gen.Options{}).atLeast(20)
	for path, method := range map[string]string{
		"streams": "GET", "streams/live/cam": "GET", "streams/live/cam/history": "GET", "streams/live/cam/log": "GET", "streams/live/cam/preview": "GET", "relay": "GET",
		"routes": "GET", "events": "GET", "streams/live/cam/publisher": "DELETE", "streams/live/cam/ceiling": "PUT",
		"routes/cdn/live/cam/route": "PUT", "routes/cdn/live/cam/rung": "DELETE", "routes/cdn/live/cam/reset": "POST",
		"drain": "POST",
	} {
		if status, _, body := ask(t, method, r.url("admin", "/api/v1/"+path)); status != http.StatusUnauthorized {
			t.Errorf("%s %s: %d %s", method, path, status, body)
		}
	}
	c := console{browse(t).page(r.url("admin", "/"))}
	enter := func(text string) {
		t.Helper()
		c.waitFor(within(t), "document.getElementById('login').open")
		c.eval(nil, "document.getElementById('token').value = "+literal(text)+", document.getElementById('enter').click()")
	}
	enter("another")
	c.has("#login-why", "not this relay")
	var shown string
	c.eval(&shown, "document.getElementById('main').textContent")
	if strings.Contains(shown, "live/cam") {
		t.Errorf("without the token it shows %s", shown)
	}
	enter(token)
	c.has(`tr[data-key="live/cam"] .state`, "live")
	c.eval(nil, `document.querySelector('tr[data-key="live/cam"] a').click()`)
	c.does("Kick the publisher")
	c.has("#state", "held")
	var kept string
	c.eval(&kept, "localStorage.length + ' ' + document.cookie + ' ' + location.href")
	if strings.Contains(kept, token) || !strings.HasPrefix(kept, "0  ") {
		t.Errorf("kept is %s", kept)
	}
	c.quiet("a status of 401")
	if strings.Contains(r.output(), token) {
		t.Error("the token is in the log")
	}
}

// A page from elsewhere, which an operator has open beside the console, cannot have the relay work:
// neither by acting, nor by asking for what takes long.
func TestForeignPage(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	awaitBrowser(t)
	r := start(t)
	publish(t, r, "live/cam", gen.Options{}).atLeast(20)
	p := browse(t).clients() // at another port of this machine
	const long = "/debug/pprof/profile?seconds=20"
	var took float64
	p.eval(&took, `(async () => {
		const begun = performance.now()
		await fetch(`+literal(r.url("admin", long))+`, { mode: 'no-cors' }).catch(() => {})
		await fetch(`+literal(r.url("admin", "/api/v1/drain"))+`, { mode: 'no-cors', method: 'POST' }).catch(() => {})
		return performance.now() - begun
	})()`)
	if took > 10_000 {
		t.Errorf("a page from elsewhere had a profile made for %.0f ms", took)
	}
	r.live("live/cam") // not drained
	if status, _, _ := ask(t, http.MethodGet, r.url("admin", "/debug/pprof/cmdline")); status != http.StatusOK {
		t.Errorf("who is no page: %d", status)
	}
}
