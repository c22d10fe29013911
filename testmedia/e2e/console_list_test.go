//go:build unix

package e2e

import (
	"fmt"
	"testing"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// Of many streams the console asks for a page at a time: broken ones first, or those that are
// searched for. What happens to one on the page changes its row, without the page being asked
// for again.
func TestConsoleList(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	awaitBrowser(t)
	const streams = 120
	r := start(t, "--config", config(t, "defaults: {hold: 2m, silence: 30s}\n"))
	pushes := make([]*publisher, streams)
	for n := range pushes {
		pushes[n] = publish(t, r, fmt.Sprintf("live/cam%04d", n), gen.Options{Source: uint32(n), FPS: 2, GOP: 2, VideoBitrate: 8000, NoAudio: true})
	}
	for _, p := range pushes {
		p.atLeast(2)
	}
	c := console{browse(t).page(r.url("admin", "/"))}
	c.has(`[data-key="totals"]`, fmt.Sprintf("%d streams: 0 held, 0 suspect, %d live", streams, streams))
	c.has(`[data-key="pages"]`, fmt.Sprintf("1 to 50 of %d", streams))
	asked := func(what string) (n int) {
		c.eval(&n, "performance.getEntriesByType('resource').filter((e) => e.name.includes("+literal(what)+")).length")
		return n
	}
	// The first may be seen before events come in, and any when the list is due anyway.
	left := 0
	for ; left < 10 && asked("/api/v1/streams/live/cam") == 0; left++ {
		pushes[left].leave()
		c.has(fmt.Sprintf(`tr[data-key="live/cam%04d"] .state`, left), "held")
	}
	if left == 10 {
		t.Error("no row of a stream was asked for by itself")
	}
	pushes[streams-1].leave() // which is on another page, and comes first
	c.has(`tr[data-key="live/cam`+fmt.Sprintf("%04d", streams-1)+`"] .state`, "held")
	c.waitFor(within(t), `document.querySelector('tbody').firstElementChild.dataset.key === 'live/cam0000'`)
	if n := asked("/api/v1/streams/"); n > streams/2 {
		t.Errorf("%d streams were asked for one by one", n)
	}

	c.eval(nil, "[...document.querySelectorAll('nav button')].at(-1).click()")
	c.has(`[data-key="pages"]`, fmt.Sprintf("51 to 100 of %d", streams))
	c.eval(nil, "[...document.querySelectorAll('nav button')].at(-1).click()")
	c.has(`[data-key="pages"]`, fmt.Sprintf("101 to %d of %d", min(150, streams), streams))
	c.eval(nil, "window.box = document.getElementById('search'), box.focus(), box.value = 'CAM003', box.dispatchEvent(new Event('input', { bubbles: true }))")
	c.waitFor(within(t), "document.querySelectorAll('tbody tr').length === 10 && !document.querySelector('nav')")
	var kept bool
	c.eval(&kept, "document.activeElement === window.box && window.box.value === 'CAM003'")
	if !kept {
		t.Error("the search lost the focus or its text")
	}
	c.quiet()
}

// Who looks at a page that there is no more, as streams have ended, sees the last that there is.
func TestConsoleLastPage(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	awaitBrowser(t)
	const streams = 60
	r := start(t, "--config", config(t, "defaults: {hold: 1s, hold_unpublish: 1s, silence: 30s}\n"))
	pushes := make([]*publisher, streams)
	for n := range pushes {
		pushes[n] = publish(t, r, fmt.Sprintf("live/cam%04d", n), gen.Options{Source: uint32(n), FPS: 2, GOP: 2, VideoBitrate: 8000, NoAudio: true})
	}
	for _, p := range pushes {
		p.atLeast(2)
	}
	c := console{browse(t).page(r.url("admin", "/"))}
	c.has(`[data-key="pages"]`, fmt.Sprintf("1 to 50 of %d", streams))
	c.eval(nil, "[...document.querySelectorAll('nav button')].at(-1).click()")
	c.has(`[data-key="pages"]`, fmt.Sprintf("51 to %d of %d", streams, streams))
	for _, p := range pushes[:20] {
		p.leave()
	}
	c.waitFor(within(t), "document.querySelectorAll('tbody tr').length === 40 && !document.querySelector('nav')")
	c.quiet("a status of 404") // of one that has ended
}

// A stream that a pull is to bring in, and cannot, is seen in the console, with why.
func TestConsoleAbsent(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	awaitBrowser(t)
	r := routing(t, group{list: "pull", match: "cam/one", urls: []string{"rtmp://" + freeAddr(t) + "/live/{name}"}})
	c := console{browse(t).page(r.url("admin", "/"))}
	c.has(`[data-key="absent"]`, "cam/one")
	c.eval(nil, `document.querySelector('[data-key="absent"] a').click()`)
	c.has("#main", "There is no such stream now.")
	c.has("#main", "no route carries it")
	c.has(".list", "refused, ")
	c.quiet("a status of 404") // of the stream
}
