//go:build unix

package e2e

import (
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
)

// reload reloads the page as a user does, and waits until its script runs.
func (p *page) reload() {
	p.t.Helper()
	p.eval(nil, "window.before = true")
	call(p, cdppage.Reload, cdppage.ReloadParams{})
	waitUntil(p.t, "the page is reloaded", func() bool {
		var done bool
		return p.tryEval(waitContext(p.t), &done, "!window.before && !!window.holdfast") == nil && done // an error means that the old page has just been unloaded
	})
}

// TestPagePublishesOverAReload reloads the page that publishes. The push breaks, the page resumes it by
// itself, and viewers stay. If the browser refuses the camera, the page shows that. After Stop publishing
// the stream ends, and a reload publishes nothing.
func TestPagePublishesOverAReload(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium")
	awaitBrowser(t)
	const stream = "live/mine"
	r := startRelay(t, "--config", config(t, "defaults: {publish_keys: [sample-key]}\n"))
	b := startBrowser(t)
	publisher := b.openPage(r.url("http", "/"+stream+"/?publish"))
	call(publisher, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{
		Source: "if (sessionStorage.deny) navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError') }",
	})
	publisher.eval(nil, "document.getElementById('key').value = 'sample-key', document.getElementById('publish').click()")
	publisher.waitState("publishing")
	r.waitLive(stream)
	viewer := b.openPage(r.url("http", "/"+stream+"/"))
	viewer.waitState("live")
	viewer.waitFrames(25)
	dials := viewer.stats().Dials

	publisher.reload()
	publisher.waitState("publishing")
	broke := r.waitBreak(0)
	if cause := broke.str("cause"); cause == "unpublish" {
		t.Errorf("a reload was logged as %s, %s", broke.str("msg"), cause)
	}
	resumed := r.waitResume(0)
	t.Logf("got a break for %s, resumed after %v", broke.str("cause"), resumed.at.Sub(broke.at).Round(time.Millisecond))
	viewer.waitState("live")
	viewer.waitFrames(25)
	if s := viewer.stats(); s.Dials != dials {
		t.Errorf("the viewer dialed %d times over the reload", s.Dials-dials)
	}
	var key string
	if publisher.eval(&key, "document.getElementById('key').value"); key != "sample-key" {
		t.Errorf("got key %q after the reload", key)
	}

	publisher.eval(nil, "sessionStorage.deny = 1")
	publisher.reload()
	publisher.waitState("refused")
	publisher.waitFor(waitContext(t), "document.getElementById('detail').textContent.includes('allow it, and press Publish to go on')")
	publisher.eval(nil, "sessionStorage.removeItem('deny')")
	publisher.reload()
	publisher.waitState("publishing")

	publisher.eval(nil, "document.getElementById('publish').click()")
	r.waitLog(0, "Stop publishing unpublishes", func(l logLine) bool {
		return l.is("push ended") && l.str("stream") == stream && l.str("cause") == "unpublish"
	})
	publisher.reload()
	publisher.waitState("ready to publish")
	var stored int
	if publisher.eval(&stored, "sessionStorage.length"); stored != 0 {
		t.Errorf("got %d stored items after Stop publishing", stored)
	}
	publisher.checkConsole()
	viewer.checkConsole()
}
