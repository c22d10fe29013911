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

// startConsole starts a relay with a stream that is pushed over two routes, and opens the console.
func startConsole(t *testing.T) (*relay, console) {
	t.Helper()
	requirePrograms(t, "chromium")
	awaitBrowser(t)
	to := startRelay(t).addrs["rtmp"]
	r := startWithRoutes(t, group{list: "push", urls: []string{"rtmp://" + to + "/a/{name}", "rtmp://" + to + "/b/{name}"}})
	publish(t, r, "live/cam", gen.Options{}).waitSent(30)
	r.waitCarries("live/cam", "a")
	c := console{startBrowser(t).openPage(r.url("admin", "/"))}
	c.waitText(`tr[data-key="live/cam"] .state`, "live")
	return r, c
}

// focused returns the text of the focused element, or "" if nothing on the page has the focus.
func (c console) focused() (text string) {
	c.t.Helper()
	c.eval(&text, `(() => {
		const e = document.activeElement
		return e && e !== document.body ? (e.getAttribute('aria-label') ?? e.textContent.trim()) || e.id : ''
	})()`)
	return text
}

// tabOrder moves through the page with Tab and returns the texts. It fails the test if a focus is not
// visible.
func (c console) tabOrder() (order []string) {
	c.t.Helper()
	for range 60 {
		c.press("\t")
		at := c.focused()
		if at == "" && len(order) > 0 {
			return order // the focus has left the page
		}
		var seen bool
		c.eval(&seen, "getComputedStyle(document.activeElement).outlineStyle !== 'none'")
		if at != "" && !seen {
			c.t.Errorf("the focus on %s is not visible", at)
		}
		if at != "" {
			order = append(order, at)
		}
	}
	c.t.Errorf("Tab does not leave the page: %q", order)
	return order
}

// focusButton focuses a button by its text.
func (c console) focusButton(text string) {
	c.t.Helper()
	c.eval(nil, "[...document.querySelectorAll('#main button')].find((b) => b.textContent === "+literal(text)+").focus()")
}

// TestConsoleByKeyboard checks that the console can be used with the keyboard. Tab reaches every control.
// A dialog gets and keeps the focus; Escape, and Enter on the button focused first, do nothing. Afterwards
// the focus returns to its element.
func TestConsoleByKeyboard(t *testing.T) {
	t.Parallel()
	r, c := startConsole(t)
	if got := strings.Join(c.tabOrder(), ", "); got != "Skip to the streams, Holdfast, search, live/cam, Drain this relay…" {
		t.Errorf("Tab moves to %s", got)
	}
	c.eval(nil, `document.querySelector('tr[data-key="live/cam"] a').focus()`)
	c.press("\r")
	c.waitText("#state", "live")
	c.waitFor(waitContext(t), "document.querySelectorAll('[data-act]').length >= 12")
	var all []string
	c.eval(&all, "[...document.querySelectorAll('#main a, #main button')].map((e) => e.textContent.trim())")
	order := c.tabOrder()
	for _, want := range append(all, "Events, the newest first") {
		if !slices.Contains(order, want) {
			t.Errorf("Tab does not reach %s: %q", want, order)
		}
	}

	asked := func(text, first string) {
		t.Helper()
		c.focusButton(text)
		c.press("\r")
		c.waitFor(waitContext(t), "document.getElementById('confirm').open")
		if at := c.focused(); at != first {
			t.Errorf("%s: got the dialog's focus on %s", text, at)
		}
		for range 5 {
			c.press("\t")
			var out bool
			c.eval(&out, "document.activeElement !== document.body && !document.activeElement.closest('#confirm')")
			if out {
				t.Errorf("%s: Tab leaves the dialog", text)
			}
		}
	}
	for _, key := range []string{"\x1b", "\r"} {
		asked("Kick the publisher", "Leave it")
		c.eval(nil, "document.getElementById('confirm-no').focus()")
		c.press(key)
		c.waitFor(waitContext(t), "!document.getElementById('confirm').open")
		if at := c.focused(); at != "Kick the publisher" {
			t.Errorf("got the focus on %s after the dialog", at)
		}
	}
	// The page updates the element that has the focus.
	publish(t, r, "live/cam?backup=1", gen.Options{Source: 3})
	c.waitText("#main", "Spare (backup), ready")
	if at := c.focused(); at != "Kick the publisher" {
		t.Errorf("got the focus on %s after an update", at)
	}

	asked("Ask for less…", "confirm-value")
	c.eval(nil, "document.getElementById('confirm-value').focus()")
	for _, key := range "900\r" {
		c.press(string(key))
	}
	c.waitText("#main", "Lift the ceiling of 900 kb/s")
	for button, want := range map[string]string{"Force b": "You have forced the route b.", "Force rung audio": "(forced by you)"} {
		asked(button, "Leave it")
		c.eval(nil, "document.getElementById('confirm-yes').focus()")
		c.press("\r")
		c.waitText("#main", want)
	}
	if s := fetch(t, r.url("admin", "/api/v1/streams/live/cam")); strings.Contains(s, `"kick"`) {
		t.Errorf("got an action that was not confirmed: %s", s)
	}
	asked("Kick the publisher", "Leave it")
	c.eval(nil, "document.getElementById('confirm-yes').focus()")
	c.press("\r")
	r.waitLog(0, "the kick", func(l logLine) bool { return l.is("push closed") && l.str("cause") == "kick" })
	c.checkConsole()
}

// TestConsoleScreenReader checks the console's accessibility tree: each control has a name, and no live
// region changes all the time.
func TestConsoleScreenReader(t *testing.T) {
	t.Parallel()
	_, c := startConsole(t)
	hears := func(wanted ...string) {
		t.Helper()
		heard := c.accessibleNames()
		for _, want := range wanted {
			if !slices.ContainsFunc(heard, func(s string) bool { return strings.HasPrefix(s, want) }) {
				t.Errorf("got no %q in %q", want, heard)
			}
		}
		for _, nameless := range []string{"button", "link", "textbox", "searchbox", "image", "dialog", "heading", "columnheader", "rowheader"} {
			if slices.Contains(heard, nameless) {
				t.Errorf("got a %s without a name", nameless)
			}
		}
	}
	hears("link Skip to the streams", "heading Holdfast", "main", "searchbox Search", "columnheader State", "link live/cam", "button Drain this relay…", "status")
	c.eval(nil, `document.querySelector('tr[data-key="live/cam"] a').click()`)
	c.waitText("#state", "live")
	c.waitFor(waitContext(t), "document.querySelectorAll('[data-act]').length >= 12")
	hears("heading live/cam", "image no break in the last 15 minutes", "image Bitrate: ", "image Arrival gap: ", "button Kick the publisher", "button Preview",
		"rowheader a", "button Force b", "button Force rung audio", "heading Events", "list Events, the newest first")
	c.focusButton("Kick the publisher")
	c.press("\r")
	c.waitFor(waitContext(t), "document.getElementById('confirm').open")
	hears("dialog Kick the publisher of live/cam?", "button Leave it", "button Kick")
	c.press("\x1b")

	c.eval(nil, "document.querySelector('[data-preview]').click()")
	c.waitFor(waitContext(t), "!document.getElementById('preview').textContent.includes('Waiting')")
	c.eval(nil, `(() => {
		window.chatter = []
		const look = new MutationObserver((all) => chatter.push(...all.map((m) => m.target.textContent)))
		for (const e of document.querySelectorAll('[role=status], [aria-live]')) look.observe(e, { childList: true, characterData: true, subtree: true })
	})()`)
	sleep(t, 7*time.Second) // two polls and a preview request
	var chatter []string
	c.eval(&chatter, "chatter.filter((text) => !['live', 'suspect'].includes(text))") // a busy machine may cause these states
	if len(chatter) > 0 {
		t.Errorf("live regions changed without an event: %q", chatter)
	}
}

// setColorScheme sets the browser's preferred color scheme.
func (c console) setColorScheme(scheme string) {
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

// faint returns which text has a contrast of less than 4.5 to 1, which chart lines less than 3 (WCAG 2.2,
// 1.4.3 and 1.4.11), and how light the page is.
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

// TestConsoleContrast checks contrast in both color schemes. On a phone's screen, the page must not scroll
// sideways and controls must be large enough to touch.
func TestConsoleContrast(t *testing.T) {
	t.Parallel()
	_, c := startConsole(t)
	look := func(what string) {
		t.Helper()
		for _, scheme := range []string{"light", "dark"} {
			c.setColorScheme(scheme)
			var got struct {
				Out   []string
				Words int
				Light float64
			}
			c.eval(&got, faint)
			if len(got.Out) > 0 || got.Words < 10 || (got.Light < 0.2) != (scheme == "dark") {
				t.Errorf("%s, %s: got %+v", what, scheme, got)
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
	c.waitText("#state", "live")
	c.waitFor(waitContext(t), "document.querySelectorAll('[data-act]').length >= 12")
	look("a stream")
	c.focusButton("Ask for less…")
	c.press("\r")
	c.waitFor(waitContext(t), "document.getElementById('confirm').open")
	look("a question")
	c.checkConsole()
}
