//go:build unix

package e2e

import (
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
)

// reload reloads the page as its user does, and waits until its script runs.
func (p *page) reload() {
	p.t.Helper()
	p.eval(nil, "window.before = true")
	call(p, cdppage.Reload, cdppage.ReloadParams{})
	until(p.t, "the page is reloaded", func() bool {
		var done bool
		return p.try(within(p.t), &done, "!window.before && !!window.holdfast") == nil && done // an error: the page has just gone
	})
}

// The page that publishes is reloaded: the push breaks, the page resumes it by itself, and viewers
// stay. Where the browser refuses the camera the page says so. After Stop publishing the stream ends, and a reload publishes nothing.
func TestPagePublishesOverAReload(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	awaitBrowser(t)
	const stream = "live/mine"
	r := start(t, "--config", config(t, "defaults: {publish_keys: [sample-key]}\n"))
	b := browse(t)
	publisher := b.page(r.url("http", "/"+stream+"/?publish"))
	call(publisher, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{
		Source: "if (sessionStorage.deny) navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError') }",
	})
	publisher.eval(nil, "document.getElementById('key').value = 'sample-key', document.getElementById('publish').click()")
	publisher.says("publishing")
	r.live(stream)
	viewer := b.page(r.url("http", "/"+stream+"/"))
	viewer.says("live")
	viewer.plays(25)
	dials := viewer.stats().Dials

	publisher.reload()
	publisher.says("publishing")
	broke := r.broke(0)
	if cause := broke.str("cause"); cause == "unpublish" {
		t.Errorf("a reload is logged as %s, %s", broke.str("msg"), cause)
	}
	resumed := r.resumed(0)
	t.Logf("broke by %s, resumed %v later", broke.str("cause"), resumed.at.Sub(broke.at).Round(time.Millisecond))
	viewer.says("live")
	viewer.plays(25)
	if s := viewer.stats(); s.Dials != dials {
		t.Errorf("the viewer dialled %d times over the reload", s.Dials-dials)
	}
	var key string
	if publisher.eval(&key, "document.getElementById('key').value"); key != "sample-key" {
		t.Errorf("after the reload the key is %q", key)
	}

	publisher.eval(nil, "sessionStorage.deny = 1")
	publisher.reload()
	publisher.says("refused")
	publisher.waitFor(within(t), "document.getElementById('detail').textContent.includes('allow it, and press Publish to go on')")
	publisher.eval(nil, "sessionStorage.removeItem('deny')")
	publisher.reload()
	publisher.says("publishing")

	publisher.eval(nil, "document.getElementById('publish').click()")
	r.expect(0, "Stop publishing unpublishes", func(l logLine) bool {
		return l.is("push ended") && l.str("stream") == stream && l.str("cause") == "unpublish"
	})
	publisher.reload()
	publisher.says("ready to publish")
	var stored int
	if publisher.eval(&stored, "sessionStorage.length"); stored != 0 {
		t.Errorf("after Stop publishing %d items are stored", stored)
	}
	publisher.quiet()
	viewer.quiet()
}
