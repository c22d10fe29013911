//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// press presses a key.
func (p *page) press(key string) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.KeyEvent(key)); err != nil {
		p.t.Fatal(err)
	}
}

// accessibleNames returns the page's accessibility tree: each role with its name.
func (p *page) accessibleNames() (out []string) {
	p.t.Helper()
	tree, err := chromedp.Run(p.ctx, func(ctx context.Context, t *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
		return cdp.Call(ctx, t, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	})
	if err != nil {
		p.t.Fatal(err)
	}
	text := func(v *accessibility.Value) (s string) {
		if v != nil {
			_ = json.Unmarshal(v.Value, &s) // ignore values that are not text
		}
		return s
	}
	for _, n := range tree.Nodes {
		if !n.Ignored {
			out = append(out, strings.TrimSpace(text(n.Role)+" "+text(n.Name)))
		}
	}
	return out
}

// TestPageAccessibility checks that all of the page can be reached and used with the keyboard, and has a
// role and a name. On a phone's screen, the page must not scroll sideways and controls must be large
// enough to touch.
func TestPageAccessibility(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := startRelay(t)
	startEncoder(t, r.url("rtmp", "/live/cam"), encoderSource{size: "640x360", tone: true})
	r.waitLive("live/cam")
	p := startBrowser(t).openPage(r.url("http", "/live/cam/"))
	p.waitState("live")
	p.waitFrames(10)

	var order []string
	focus := func() (id string) {
		p.eval(&id, "document.activeElement?.id ?? ''")
		return id
	}
	for range 30 {
		p.press("\t")
		id := focus()
		var shown string
		p.eval(&shown, "getComputedStyle(document.activeElement).outlineStyle")
		if id != "" && id != "video" && shown == "none" {
			t.Errorf("the focus on %s is not visible", id)
		}
		if id == "" && len(order) > 1 {
			break // the focus has left the page
		}
		if len(order) == 0 || order[len(order)-1] != id {
			order = append(order, id)
		}
	}
	if got := strings.Join(order, " "); got != "video sound watch by source key publish" {
		t.Errorf("Tab moves to %s", got)
	}
	at := func(id, key string) {
		t.Helper()
		p.eval(nil, "document.getElementById("+literal(id)+").focus()")
		p.press(key)
	}
	at("sound", " ")
	p.waitFor(waitContext(t), "!video.muted && document.getElementById('sound').textContent === 'Sound off'")
	at("sound", "\r")
	p.waitFor(waitContext(t), "video.muted && document.getElementById('sound').textContent === 'Sound on'")
	at("watch", "\r")
	p.waitState("stopped")
	at("watch", " ")
	p.waitState("live")

	p.waitFor(waitContext(t), "document.getElementById('history').childElementCount > 0")
	heard := p.accessibleNames()
	for _, want := range []string{
		"heading live/cam", "Video The stream", "status", "button Sound on", "image The last five minutes: no break", "group Watch",
		"button Stop watching", "combobox By", "group Publish from this browser", "combobox Source", "textbox Key", "button Publish",
	} {
		if !slices.Contains(heard, want) {
			t.Errorf("got no %q in %q", want, heard)
		}
	}
	for _, nameless := range []string{"button", "combobox", "textbox", "image", "Video"} {
		if slices.Contains(heard, nameless) {
			t.Errorf("got a %s without a name in %q", nameless, heard)
		}
	}

	// Screen readers read out each change of a live region.
	p.eval(nil, `(() => {
		window.chatter = 0
		new MutationObserver((all) => chatter += all.length).observe(document.getElementById('state'), { childList: true, characterData: true, subtree: true })
	})()`)
	p.waitFrames(75)
	var chatter int
	p.eval(&chatter, "chatter")
	if chatter > 0 {
		t.Errorf("the live region changed %d times without an event", chatter)
	}

	if err := chromedp.Do(p.ctx, chromedp.EmulateViewport(360, 640, chromedp.EmulateMobile)); err != nil {
		t.Fatal(err)
	}
	var small []string
	p.eval(&small, `[...document.querySelectorAll('button, select, input')].filter((e) => e.checkVisibility())
		.filter((e) => { const b = e.getBoundingClientRect(); return b.height < 44 || b.width < 44 }).map((e) => e.id)`)
	var wide bool
	p.eval(&wide, "document.documentElement.scrollWidth > innerWidth")
	if len(small) > 0 || wide {
		t.Errorf("on a phone: too small %v, scrolls sideways %v", fmt.Sprint(small), wide)
	}
}
