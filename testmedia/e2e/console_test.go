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

// waitText waits until an element contains a text.
func (c console) waitText(selector, text string) {
	c.t.Helper()
	c.waitFor(waitContext(c.t), fmt.Sprintf("document.querySelector(%s)?.textContent.includes(%s) ?? false", literal(selector), literal(text)))
}

// pressAndConfirm presses a button by its text and confirms.
func (c console) pressAndConfirm(text string) {
	c.t.Helper()
	find := "[...document.querySelectorAll('#main button')].find((b) => b.textContent === " + literal(text) + ")"
	c.waitFor(waitContext(c.t), "!!"+find)
	c.eval(nil, find+".click()")
	c.waitFor(waitContext(c.t), "document.getElementById('confirm').open")
	c.eval(nil, "document.getElementById('confirm-yes').click()")
	c.waitText("#said", "Done.")
}

// checkConsole fails the test if the browser's console has messages other than those allowed.
func (c console) checkConsole(but ...string) {
	c.t.Helper()
said:
	for _, output := range c.messages.all() {
		for _, b := range but {
			if strings.Contains(output, b) {
				continue said
			}
		}
		c.t.Errorf("got console message %s", output)
	}
}

// TestConsole checks that the console shows a stream live, held and live again without a reload, kicks its
// publisher and forces a route. Text from a publisher is never interpreted as markup.
func TestConsole(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	const stream, hostile = "live/cam", `<img src=x onerror=window.owned=1>`
	server := startRelay(t)
	to := server.addrs["rtmp"]
	r := startWithRoutes(t, group{list: "push", urls: []string{"rtmp://" + to + "/a/{name}", "rtmp://" + to + "/b/{name}"}, more: "failover: {rise: 1s}"})
	c := console{startBrowser(t).openPage(r.url("admin", "/"))}
	c.waitText("#main", "There is no stream now.")
	c.waitText("#link", "connected")
	c.eval(nil, "window.same = 1")
	hostilely := func() *program {
		arguments := append(encoderSource{size: "320x180", tone: true}.arguments(), "-rtmp_flashver", hostile)
		return startFFmpeg(t, append(arguments, r.url("rtmp", "/"+stream))...)
	}
	one := hostilely()
	c.waitText(`tr[data-key="live/cam"] .state`, "live")
	one.kill()
	c.waitText(`tr[data-key="live/cam"] .state`, "held")
	hostilely()
	c.waitText(`tr[data-key="live/cam"] .state`, "live")

	c.eval(nil, `document.querySelector('tr[data-key="live/cam"] a').click()`)
	c.waitText("#state", "live")
	c.waitText("#main", hostile)
	c.waitText("#main", "320×180")
	c.waitText("#main", "resumed after")
	c.waitFor(waitContext(t), "document.querySelectorAll('svg').length >= 6")
	publish(t, r, stream+"?backup=1", gen.Options{Source: 9})
	c.waitText("#main", "Spare (backup), ready")
	r.waitCarries(stream, "a")
	c.pressAndConfirm("Force b")
	r.waitCarries(stream, "b")
	c.waitText("#main", "You have forced the route b.")
	c.pressAndConfirm("Route: auto")
	r.waitCarries(stream, "a")
	c.waitText(".charts", "fps, from") // the first sample
	c.waitText(".charts", "Lag of push cdn now")
	c.pressAndConfirm("Kick the publisher")
	r.waitLog(0, "the kick", func(l logLine) bool { return l.is("push closed") && l.str("cause") == "kick" })
	var is string
	c.eval(&is, "window.same + ' ' + window.owned + ' ' + document.images.length")
	if is != "1 undefined 0" {
		t.Errorf("the page was reloaded, or text from the publisher became markup: %s", is)
	}
	c.checkConsole()

	c.eval(nil, "document.querySelector('h1 a').click()")
	c.waitFor(waitContext(t), `document.querySelector('[data-act="drain"]') !== null`)
	c.eval(nil, `document.querySelector('[data-act="drain"]').click()`)
	for _, asked := range []string{"as at SIGTERM", "Really?"} {
		c.waitText("#confirm[open]", asked)
		c.eval(nil, "document.getElementById('confirm-yes').click()")
	}
	r.waitLog(0, "the relay has ended", func(l logLine) bool { return l.is("stopped") })
	c.waitText("#link", "does not answer")
}

// TestConsoleWithToken checks that without the token there is only a page that asks for it.
func TestConsoleWithToken(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium")
	awaitBrowser(t)
	const token = "sample-token"
	r := startRelay(t, "--admin.token", token)
	publish(t, r, "live/cam", gen.Options{}).waitSent(20)
	for path, method := range map[string]string{
		"streams": "GET", "streams/live/cam": "GET", "streams/live/cam/history": "GET", "streams/live/cam/log": "GET", "streams/live/cam/preview": "GET", "relay": "GET",
		"routes": "GET", "events": "GET", "streams/live/cam/publisher": "DELETE", "streams/live/cam/ceiling": "PUT",
		"routes/cdn/live/cam/route": "PUT", "routes/cdn/live/cam/rung": "DELETE", "routes/cdn/live/cam/reset": "POST",
		"drain": "POST",
	} {
		if status, _, body := httpRequest(t, method, r.url("admin", "/api/v1/"+path)); status != http.StatusUnauthorized {
			t.Errorf("%s %s: got %d %s", method, path, status, body)
		}
	}
	c := console{startBrowser(t).openPage(r.url("admin", "/"))}
	enter := func(text string) {
		t.Helper()
		c.waitFor(waitContext(t), "document.getElementById('login').open")
		c.eval(nil, "document.getElementById('token').value = "+literal(text)+", document.getElementById('enter').click()")
	}
	enter("another")
	c.waitText("#login-why", "not this relay")
	var shown string
	c.eval(&shown, "document.getElementById('main').textContent")
	if strings.Contains(shown, "live/cam") {
		t.Errorf("without the token the page shows %s", shown)
	}
	enter(token)
	c.waitText(`tr[data-key="live/cam"] .state`, "live")
	c.eval(nil, `document.querySelector('tr[data-key="live/cam"] a').click()`)
	c.pressAndConfirm("Kick the publisher")
	c.waitText("#state", "held")
	var kept string
	c.eval(&kept, "localStorage.length + ' ' + document.cookie + ' ' + location.href")
	if strings.Contains(kept, token) || !strings.HasPrefix(kept, "0  ") {
		t.Errorf("got stored item %s", kept)
	}
	c.checkConsole("a status of 401")
	if strings.Contains(r.output(), token) {
		t.Error("got the token in the log")
	}
}

// TestCrossOriginRequests checks that a page from another origin, open beside the console, can neither act
// on the relay nor request anything expensive.
func TestCrossOriginRequests(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium")
	awaitBrowser(t)
	r := startRelay(t)
	publish(t, r, "live/cam", gen.Options{}).waitSent(20)
	p := startBrowser(t).openClientPage() // another port of this machine
	const long = "/debug/pprof/profile?seconds=20"
	var took float64
	p.eval(&took, `(async () => {
		const begun = performance.now()
		await fetch(`+literal(r.url("admin", long))+`, { mode: 'no-cors' }).catch(() => {})
		await fetch(`+literal(r.url("admin", "/api/v1/drain"))+`, { mode: 'no-cors', method: 'POST' }).catch(() => {})
		return performance.now() - begun
	})()`)
	if took > 10_000 {
		t.Errorf("a page from another origin requested a profile for %.0f ms", took)
	}
	r.waitLive("live/cam") // not drained
	if status, _, _ := httpRequest(t, http.MethodGet, r.url("admin", "/debug/pprof/cmdline")); status != http.StatusOK {
		t.Errorf("request without an origin: got status %d", status)
	}
}
