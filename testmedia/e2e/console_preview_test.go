//go:build unix

package e2e

import (
	"mime"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestConsolePreview checks that the console shows a preview on request only, also of a stream that
// requires a token or is held. A preview does not count as a viewer.
func TestConsolePreview(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	const token = "sample-token"
	r := startRelay(t, "--config", config(t, "admin: {token: "+token+"}\ndefaults: {play_secret: sample-secret-of-32-characters-!!, hold: 2m}\n"))
	push := startFFmpeg(t, append(encoderSource{size: "320x180", tone: true}.arguments(), r.url("rtmp", "/live/cam"))...)
	c := console{startBrowser(t).openPage(r.url("admin", "/#/live/cam"))}
	c.waitFor(waitContext(t), "document.getElementById('login').open")
	c.eval(nil, "document.getElementById('token').value = "+literal(token)+", document.getElementById('enter').click()")
	c.waitText("#state", "live")
	asked := "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/preview')).length"
	press := func(text string) {
		t.Helper()
		c.waitText("[data-preview]", text)
		c.eval(nil, "document.querySelector('[data-preview]').click()")
	}
	// A keyframe with colors is shown: not black, and no error.
	const seen = `(() => {
		const v = document.querySelector('#preview video')
		if (!v || v.readyState < 2 || v.videoWidth !== 320) return false
		const to = new OffscreenCanvas(320, 180).getContext('2d')
		to.drawImage(v, 0, 0)
		return to.getImageData(0, 0, 320, 180).data.some((x, i) => i % 4 < 3 && x > 100)
	})()`
	var before int
	c.eval(&before, asked)
	press("Preview")
	c.waitFor(waitContext(t), seen)
	c.eval(nil, "document.querySelector('#preview video').first = true")
	push.kill()
	c.waitText("#state", "held")
	c.waitFor(waitContext(t), "document.querySelector('#preview video')?.first === undefined && "+seen)
	var muted bool
	c.eval(&muted, "document.querySelector('#preview video').muted")
	press("Hide the preview")
	c.waitFor(waitContext(t), "!document.querySelector('#preview video')")
	c.waitText("[data-preview]", "Preview")
	if before != 0 || !muted {
		t.Errorf("got %d requests before the click, muted %v", before, muted)
	}
	c.checkConsole("a status of 401", "a status of 503") // without the token; of a push that has just started or broken

	if status, _, body := httpRequest(t, http.MethodGet, r.url("admin", "/api/v1/streams/live/cam/preview")); status != http.StatusUnauthorized {
		t.Errorf("without the token: got %d, %d bytes", status, len(body))
	}
}

// TestConsolePreviewOfAnother checks that a late preview of one stream does not prevent a new request for
// another.
func TestConsolePreviewOfAnother(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium")
	awaitBrowser(t)
	r := startRelay(t)
	publish(t, r, "live/one", gen.Options{}).waitSent(60)
	publish(t, r, "live/two", gen.Options{Source: 2}).waitSent(60)
	c := console{startBrowser(t).openPage(r.url("admin", "/#/live/one"))}
	c.waitText("#state", "live")
	c.eval(nil, `(() => {
		const ask = window.fetch
		window.late = []
		window.asked = 0
		window.fetch = (at, o) => {
			if (at.endsWith('/live/one/preview')) return new Promise((_, fail) => window.late.push(fail))
			if (at.endsWith('/live/two/preview')) window.asked++
			return ask(at, o)
		}
	})()`)
	press := func(name string) {
		t.Helper()
		c.waitFor(waitContext(t), "document.querySelector('[data-preview]')?.dataset.preview === "+literal(name))
		c.eval(nil, "document.querySelector('[data-preview]').click()")
	}
	press("live/one")
	c.waitFor(waitContext(t), "late.length === 1")
	c.eval(nil, "location.hash = '#/live/two'")
	press("live/two")
	c.waitFor(waitContext(t), "!(document.querySelector('#preview p')?.textContent ?? 'Waiting').startsWith('Waiting')")
	c.eval(nil, "late[0](new Error('it is too late'))")
	c.waitFor(waitContext(t), "asked > 1")
}

// TestPreview checks that a preview contains one keyframe on the stream's tracks, and that a stream
// without video has an error.
func TestPreview(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	publish(t, r, "live/cam", gen.Options{}).waitSent(60)
	publish(t, r, "live/radio", gen.Options{Source: 2, NoVideo: true}).waitSent(60)
	status, header, body := httpRequest(t, http.MethodGet, r.url("admin", "/api/v1/streams/live/cam/preview"))
	kind, with, err := mime.ParseMediaType(header.Get("Content-Type"))
	if status != http.StatusOK || err != nil || kind != "video/mp4" || !strings.HasPrefix(with["codecs"], "avc1.") {
		t.Errorf("got %d %v, %v", status, header, err)
	}
	for _, box := range []string{"ftyp", "moov", "moof", "mdat"} {
		if strings.Count(body, box) != 1 {
			t.Errorf("got %d of box %s", strings.Count(body, box), box)
		}
	}
	if says := fetch(t, r.url("admin", "/api/v1/streams/live/cam")); !strings.Contains(says, `"viewers":{}`) {
		t.Errorf("the preview counts as a viewer: %s", says)
	}
	for name, want := range map[string]int{"live/radio": http.StatusUnprocessableEntity, "live/none": http.StatusNotFound, "live/%2E%2E": http.StatusNotFound} {
		status, _, body := httpRequest(t, http.MethodGet, r.url("admin", "/api/v1/streams/"+name+"/preview"))
		if status != want || !strings.Contains(body, `"hint"`) {
			t.Errorf("%s: got %d %s", name, status, body)
		}
	}
}
