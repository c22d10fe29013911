//go:build unix

package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// steered starts a relay with a stream that is pushed over two routes, and the console at it.
func steered(t *testing.T) (*relay, console) {
	t.Helper()
	need(t, "chromium")
	awaitBrowser(t)
	to := start(t).addrs["rtmp"]
	r := routing(t, group{list: "push", urls: []string{"rtmp://" + to + "/a/{name}", "rtmp://" + to + "/b/{name}"}})
	publish(t, r, "live/cam", gen.Options{}).atLeast(30)
	r.carries("live/cam", "a")
	c := console{browse(t).page(r.url("admin", "/"))}
	c.has(`tr[data-key="live/cam"] .state`, "live")
	return r, c
}

// focused is what has the focus, by what it says; empty: nothing on the page.
func (c console) focused() (text string) {
	c.t.Helper()
	c.eval(&text, `(() => {
		const e = document.activeElement
		return e && e !== document.body ? (e.getAttribute('aria-label') ?? e.textContent.trim()) || e.id : ''
	})()`)
	return text
}

// tabbed goes through the page by Tab, and fails the test where the focus cannot be seen.
func (c console) tabbed() (order []string) {
	c.t.Helper()
	for range 60 {
		c.press("\t")
		at := c.focused()
		if at == "" && len(order) > 0 {
			return order // out of the page: it is no trap
		}
		var seen bool
		c.eval(&seen, "getComputedStyle(document.activeElement).outlineStyle !== 'none'")
		if at != "" && !seen {
			c.t.Errorf("the focus on %s is not to be seen", at)
		}
		if at != "" {
			order = append(order, at)
		}
	}
	c.t.Errorf("Tab does not leave the page: %q", order)
	return order
}

// to focuses a button by its text.
func (c console) to(text string) {
	c.t.Helper()
	c.eval(nil, "[...document.querySelectorAll('#main button')].find((b) => b.textContent === "+literal(text)+").focus()")
}

// All that the console does is done by keyboard: every control is reached, a question has the
// focus and holds it, Escape and Enter on what is focused first do nothing, and afterwards the
// focus is where it was.
func TestConsoleByKeyboard(t *testing.T) {
	t.Parallel()
	r, c := steered(t)
	if got := strings.Join(c.tabbed(), ", "); got != "Skip to the streams, Holdfast, search, live/cam, Drain this relay…" {
		t.Errorf("Tab goes to %s", got)
	}
	c.eval(nil, `document.querySelector('tr[data-key="live/cam"] a').focus()`)
	c.press("\r")
	c.has("#state", "live")
	c.waitFor(within(t), "document.querySelectorAll('[data-act]').length >= 12")
	var all []string
	c.eval(&all, "[...document.querySelectorAll('#main a, #main button')].map((e) => e.textContent.trim())")
	order := c.tabbed()
	for _, want := range append(all, "Events, the newest first") {
		if !slices.Contains(order, want) {
			t.Errorf("%s is not reached: %q", want, order)
		}
	}

	asked := func(text, first string) {
		t.Helper()
		c.to(text)
		c.press("\r")
		c.waitFor(within(t), "document.getElementById('confirm').open")
		if at := c.focused(); at != first {
			t.Errorf("%s: the question's focus is on %s", text, at)
		}
		for range 5 {
			c.press("\t")
			var out bool
			c.eval(&out, "document.activeElement !== document.body && !document.activeElement.closest('#confirm')")
			if out {
				t.Errorf("%s: Tab goes out of the question", text)
			}
		}
	}
	for _, key := range []string{"\x1b", "\r"} {
		asked("Kick the publisher", "Leave it")
		c.eval(nil, "document.getElementById('confirm-no').focus()")
		c.press(key)
		c.waitFor(within(t), "!document.getElementById('confirm').open")
		if at := c.focused(); at != "Kick the publisher" {
			t.Errorf("afterwards the focus is on %s", at)
		}
	}
	// The page is renewed under the focus.
	publish(t, r, "live/cam?backup=1", gen.Options{Source: 3})
	c.has("#main", "Spare (backup), ready")
	if at := c.focused(); at != "Kick the publisher" {
		t.Errorf("once the page was renewed the focus is on %s", at)
	}

	asked("Ask for less…", "confirm-value")
	c.eval(nil, "document.getElementById('confirm-value').focus()")
	for _, key := range "900\r" {
		c.press(string(key))
	}
	c.has("#main", "Lift the ceiling of 900 kb/s")
	for button, want := range map[string]string{"Force b": "You have forced the route b.", "Force rung audio": "(forced by you)"} {
		asked(button, "Leave it")
		c.eval(nil, "document.getElementById('confirm-yes').focus()")
		c.press("\r")
		c.has("#main", want)
	}
	if s := fetch(t, r.url("admin", "/api/v1/streams/live/cam")); strings.Contains(s, `"kick"`) {
		t.Errorf("what was not said yes to was done: %s", s)
	}
	asked("Kick the publisher", "Leave it")
	c.eval(nil, "document.getElementById('confirm-yes').focus()")
	c.press("\r")
	r.expect(0, "the kick", func(l logLine) bool { return l.is("push closed") && l.str("cause") == "kick" })
	c.quiet()
}

// What a screen reader has of the console: each control has a name, and nothing that changes all
// the time is read out.
func TestConsoleHeard(t *testing.T) {
	t.Parallel()
	_, c := steered(t)
	hears := func(wanted ...string) {
		t.Helper()
		heard := c.heard()
		for _, want := range wanted {
			if !slices.ContainsFunc(heard, func(s string) bool { return strings.HasPrefix(s, want) }) {
				t.Errorf("no %q is heard of: %q", want, heard)
			}
		}
		for _, nameless := range []string{"button", "link", "textbox", "searchbox", "image", "dialog", "heading", "columnheader", "rowheader"} {
			if slices.Contains(heard, nameless) {
				t.Errorf("a %s has no name", nameless)
			}
		}
	}
	hears("link Skip to the streams", "heading Holdfast", "main", "searchbox Search", "columnheader State", "link live/cam", "button Drain this relay…", "status")
	c.eval(nil, `document.querySelector('tr[data-key="live/cam"] a').click()`)
	c.has("#state", "live")
	c.waitFor(within(t), "document.querySelectorAll('[data-act]').length >= 12")
	hears("heading live/cam", "image no break in the last 15 minutes", "image Bitrate: ", "image Arrival gap: ", "button Kick the publisher", "button Preview",
		"rowheader a", "button Force b", "button Force rung audio", "heading Events", "list Events, the newest first")
	c.to("Kick the publisher")
	c.press("\r")
	c.waitFor(within(t), "document.getElementById('confirm').open")
	hears("dialog Kick the publisher of live/cam?", "button Leave it", "button Kick")
	c.press("\x1b")

	c.eval(nil, "document.querySelector('[data-preview]').click()")
	c.waitFor(within(t), "!document.getElementById('preview').textContent.includes('Waiting')")
	c.eval(nil, `(() => {
		window.chatter = []
		const look = new MutationObserver((all) => chatter.push(...all.map((m) => m.target.textContent)))
		for (const e of document.querySelectorAll('[role=status], [aria-live]')) look.observe(e, { childList: true, characterData: true, subtree: true })
	})()`)
	wait(t, 7*time.Second) // two rounds, and a picture asked for
	var chatter []string
	c.eval(&chatter, "chatter.filter((text) => !['live', 'suspect'].includes(text))") // which a busy machine may make of a push
	if len(chatter) > 0 {
		t.Errorf("live regions changed while nothing did: %q", chatter)
	}
}

// prefers has the browser ask for light or dark pages.
func (c console) prefers(scheme string) {
	c.t.Helper()
	if err := chromedp.Do(c.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})); err != nil {
		c.t.Fatal(err)
	}
}

// faint tells which words have less than 4.5 to 1 against what they stand on, and which lines of
// charts less than 3 (WCAG 2.2, 1.4.3 and 1.4.11), and how light the page is.
const faint = `(() => {
	const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4
	const parts = (color) => color.match(/[\d.]+/g).map(Number)
	const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
	const ground = (e) => {
		for (; e; e = e.parentElement) {
			const c = parts(getComputedStyle(e).backgroundColor)
			if (c.length === 3 || c[3] === 1) return light(c)
		}
		throw new Error('the page has no ground')
	}
	const out = []
	const check = (e, color, least) => {
		const a = light(parts(color)), b = ground(e), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
		if (ratio < least) out.push(e.tagName + ' ' + (e.getAttribute('class') ?? '') + ' ' + e.textContent.slice(0, 30) + ' ' + ratio.toFixed(2))
	}
	let words = 0
	for (const e of document.body.querySelectorAll('*')) {
		if (!e.checkVisibility() || e.closest('svg')) continue
		if ([...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) { check(e, getComputedStyle(e).color, 4.5); words++ }
	}
	for (const e of document.querySelectorAll('svg .curve')) check(e.closest('figure'), getComputedStyle(e).stroke, 3)
	for (const e of document.querySelectorAll('svg .span')) check(e.closest('svg').parentElement, getComputedStyle(e).fill, 3)
	return { out, words, light: ground(document.body) }
})()`

// By day and by night all is to be read, and on a phone's screen nothing stands beside it and all
// is large enough for a finger.
func TestConsoleSeen(t *testing.T) {
	t.Parallel()
	_, c := steered(t)
	look := func(what string) {
		t.Helper()
		for _, scheme := range []string{"light", "dark"} {
			c.prefers(scheme)
			var got struct {
				Out   []string
				Words int
				Light float64
			}
			c.eval(&got, faint)
			if len(got.Out) > 0 || got.Words < 10 || (got.Light < 0.2) != (scheme == "dark") {
				t.Errorf("%s, %s: %+v", what, scheme, got)
			}
		}
		if err := chromedp.Do(c.ctx, chromedp.EmulateViewport(360, 640, chromedp.EmulateMobile)); err != nil {
			t.Fatal(err)
		}
		var wide, small []string
		c.eval(&wide, `[document.documentElement, ...document.querySelectorAll('section, dialog[open]')].filter((e) => e.scrollWidth > Math.min(innerWidth, Math.max(e.clientWidth, 1)))
			.map((e) => e.tagName + ' ' + e.scrollWidth + ' ' + e.textContent.trim().slice(0, 40))`)
		c.eval(&small, `[...document.querySelectorAll('button, input')].filter((e) => e.checkVisibility())
			.filter((e) => { const b = e.getBoundingClientRect(); return b.height < 44 || b.width < 44 }).map((e) => e.textContent || e.id)`)
		if len(wide) > 0 || len(small) > 0 {
			t.Errorf("%s on a phone: too wide %q, too small %q", what, wide, small)
		}
		if err := chromedp.Do(c.ctx, chromedp.EmulateReset()); err != nil {
			t.Fatal(err)
		}
	}
	look("the list")
	c.eval(nil, `document.querySelector('tr[data-key="live/cam"] a').click()`)
	c.has("#state", "live")
	c.waitFor(within(t), "document.querySelectorAll('[data-act]').length >= 12")
	look("a stream")
	c.to("Ask for less…")
	c.press("\r")
	c.waitFor(within(t), "document.getElementById('confirm').open")
	look("a question")
	c.quiet()
}
