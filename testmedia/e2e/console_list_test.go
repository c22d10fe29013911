//go:build unix

package e2e

import (
	"fmt"
	"testing"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestConsoleList checks that with many streams, the console requests one page at a time: broken streams
// first, or search results. An event for a stream on the page updates its row only.
func TestConsoleList(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium")
	awaitBrowser(t)
	const streams = 120
	r := startRelay(t, "--config", config(t, "defaults: {hold: 2m, silence: 30s}\n"))
	pushes := make([]*publisher, streams)
	for n := range pushes {
		pushes[n] = publish(t, r, fmt.Sprintf("live/cam%04d", n), gen.Options{Source: uint32(n), FPS: 2, GOP: 2, VideoBitrate: 8000, NoAudio: true})
	}
	for _, p := range pushes {
		p.waitSent(2)
	}
	c := console{startBrowser(t).openPage(r.url("admin", "/"))}
	c.waitText(`[data-key="totals"]`, fmt.Sprintf("%d streams: 0 held, 0 suspect, %d live", streams, streams))
	c.waitText(`[data-key="pages"]`, fmt.Sprintf("1 to 50 of %d", streams))
	asked := func(what string) (n int) {
		c.eval(&n, "performance.getEntriesByType('resource').filter((e) => e.name.includes("+literal(what)+")).length")
		return n
	}
	// The first page may load before events arrive, and any page when the list is due.
	left := 0
	for ; left < 10 && asked("/api/v1/streams/live/cam") == 0; left++ {
		pushes[left].disconnect()
		c.waitText(fmt.Sprintf(`tr[data-key="live/cam%04d"] .state`, left), "held")
	}
	if left == 10 {
		t.Error("no row was requested by itself")
	}
	pushes[streams-1].disconnect() // a stream on another page, which now becomes first
	c.waitText(`tr[data-key="live/cam`+fmt.Sprintf("%04d", streams-1)+`"] .state`, "held")
	c.waitFor(waitContext(t), `document.querySelector('tbody').firstElementChild.dataset.key === 'live/cam0000'`)
	if n := asked("/api/v1/streams/"); n > streams/2 {
		t.Errorf("got %d requests for single streams", n)
	}

	c.eval(nil, "[...document.querySelectorAll('nav button')].at(-1).click()")
	c.waitText(`[data-key="pages"]`, fmt.Sprintf("51 to 100 of %d", streams))
	c.eval(nil, "[...document.querySelectorAll('nav button')].at(-1).click()")
	c.waitText(`[data-key="pages"]`, fmt.Sprintf("101 to %d of %d", min(150, streams), streams))
	c.eval(nil, "window.box = document.getElementById('search'), box.focus(), box.value = 'CAM003', box.dispatchEvent(new Event('input', { bubbles: true }))")
	c.waitFor(waitContext(t), "document.querySelectorAll('tbody tr').length === 10 && !document.querySelector('nav')")
	var kept bool
	c.eval(&kept, "document.activeElement === window.box && window.box.value === 'CAM003'")
	if !kept {
		t.Error("the search lost its focus or text")
	}
	c.checkConsole()
}

// TestConsoleLastPage checks that a user on a page that no longer exists, since streams have ended, sees
// the last page.
func TestConsoleLastPage(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium")
	awaitBrowser(t)
	const streams = 60
	r := startRelay(t, "--config", config(t, "defaults: {hold: 1s, hold_unpublish: 1s, silence: 30s}\n"))
	pushes := make([]*publisher, streams)
	for n := range pushes {
		pushes[n] = publish(t, r, fmt.Sprintf("live/cam%04d", n), gen.Options{Source: uint32(n), FPS: 2, GOP: 2, VideoBitrate: 8000, NoAudio: true})
	}
	for _, p := range pushes {
		p.waitSent(2)
	}
	c := console{startBrowser(t).openPage(r.url("admin", "/"))}
	c.waitText(`[data-key="pages"]`, fmt.Sprintf("1 to 50 of %d", streams))
	c.eval(nil, "[...document.querySelectorAll('nav button')].at(-1).click()")
	c.waitText(`[data-key="pages"]`, fmt.Sprintf("51 to %d of %d", streams, streams))
	for _, p := range pushes[:20] {
		p.disconnect()
	}
	c.waitFor(waitContext(t), "document.querySelectorAll('tbody tr').length === 40 && !document.querySelector('nav')")
	c.checkConsole("a status of 404") // of an ended stream
}

// TestConsoleAbsent checks that the console shows a stream that a pull cannot bring in, with the reason.
func TestConsoleAbsent(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium")
	awaitBrowser(t)
	r := startWithRoutes(t, group{list: "pull", match: "cam/one", urls: []string{"rtmp://" + freeAddr(t) + "/live/{name}"}})
	c := console{startBrowser(t).openPage(r.url("admin", "/"))}
	c.waitText(`[data-key="absent"]`, "cam/one")
	c.eval(nil, `document.querySelector('[data-key="absent"] a').click()`)
	c.waitText("#main", "There is no such stream now.")
	c.waitText("#main", "no route carries it")
	c.waitText(".list", "refused, ")
	c.checkConsole("a status of 404") // of the stream
}
