//go:build unix

package e2e

import (
	"mime"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// The console shows how a stream looks, also one that only those with a token may play, and one
// that is held, and asks for nothing before it is told to. Nobody is counted as a viewer for it.
func TestConsolePreview(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	const token = "sample-token"
	r := start(t, "--config", config(t, "admin: {token: "+token+"}\ndefaults: {play_secret: sample-secret-of-32-characters-!!, hold: 2m}\n"))
	push := ffmpeg(t, append(source{picture: "320x180", tone: true}.arguments(), r.url("rtmp", "/live/cam"))...)
	c := console{browse(t).page(r.url("admin", "/#/live/cam"))}
	c.waitFor(within(t), "document.getElementById('login').open")
	c.eval(nil, "document.getElementById('token').value = "+literal(token)+", document.getElementById('enter').click()")
	c.has("#state", "live")
	asked := "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/preview')).length"
	press := func(text string) {
		t.Helper()
		c.has("[data-preview]", text)
		c.eval(nil, "document.querySelector('[data-preview]').click()")
	}
	// What is shown is the film of a keyframe that has colours: not black, and no error.
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
	c.waitFor(within(t), seen)
	c.eval(nil, "document.querySelector('#preview video').first = true")
	push.kill()
	c.has("#state", "held")
	c.waitFor(within(t), "document.querySelector('#preview video')?.first === undefined && "+seen)
	var muted bool
	c.eval(&muted, "document.querySelector('#preview video').muted")
	press("Hide the preview")
	c.waitFor(within(t), "!document.querySelector('#preview video')")
	c.has("[data-preview]", "Preview")
	if before != 0 || !muted {
		t.Errorf("asked %d times before, muted %v", before, muted)
	}
	c.quiet("a status of 401", "a status of 503") // without the token; of a push that just began or broke

	if status, _, body := ask(t, http.MethodGet, r.url("admin", "/api/v1/streams/live/cam/preview")); status != http.StatusUnauthorized {
		t.Errorf("without the token: %d, %d bytes", status, len(body))
	}
}

// A picture of one stream that is late, and comes when another's is shown, does not keep that one
// from being asked for again.
func TestConsolePreviewOfAnother(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	awaitBrowser(t)
	r := start(t)
	publish(t, r, "live/one", gen.Options{}).atLeast(60)
	publish(t, r, "live/two", gen.Options{Source: 2}).atLeast(60)
	c := console{browse(t).page(r.url("admin", "/#/live/one"))}
	c.has("#state", "live")
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
		c.waitFor(within(t), "document.querySelector('[data-preview]')?.dataset.preview === "+literal(name))
		c.eval(nil, "document.querySelector('[data-preview]').click()")
	}
	press("live/one")
	c.waitFor(within(t), "late.length === 1")
	c.eval(nil, "location.hash = '#/live/two'")
	press("live/two")
	c.waitFor(within(t), "!(document.querySelector('#preview p')?.textContent ?? 'Waiting').startsWith('Waiting')")
	c.eval(nil, "late[0](new Error('it is too late'))")
	c.waitFor(within(t), "asked > 1")
}

// A preview is a film of one keyframe, on the stream's own tracks, and a stream without pictures
// says that it has none.
func TestPreview(t *testing.T) {
	t.Parallel()
	r := start(t)
	publish(t, r, "live/cam", gen.Options{}).atLeast(60)
	publish(t, r, "live/radio", gen.Options{Source: 2, NoVideo: true}).atLeast(60)
	status, header, body := ask(t, http.MethodGet, r.url("admin", "/api/v1/streams/live/cam/preview"))
	kind, with, err := mime.ParseMediaType(header.Get("Content-Type"))
	if status != http.StatusOK || err != nil || kind != "video/mp4" || !strings.HasPrefix(with["codecs"], "avc1.") {
		t.Errorf("%d %v, %v", status, header, err)
	}
	for _, box := range []string{"ftyp", "moov", "moof", "mdat"} {
		if strings.Count(body, box) != 1 {
			t.Errorf("%d × %s", strings.Count(body, box), box)
		}
	}
	if says := fetch(t, r.url("admin", "/api/v1/streams/live/cam")); !strings.Contains(says, `"viewers":{}`) {
		t.Errorf("somebody is counted as a viewer: %s", says)
	}
	for name, want := range map[string]int{"live/radio": http.StatusUnprocessableEntity, "live/none": http.StatusNotFound, "live/%2E%2E": http.StatusNotFound} {
		status, _, body := ask(t, http.MethodGet, r.url("admin", "/api/v1/streams/"+name+"/preview"))
		if status != want || !strings.Contains(body, `"hint"`) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}
