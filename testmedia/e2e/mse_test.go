//go:build unix

package e2e

import (
	"testing"

	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

// The page plays by Media Source over breaks of the publisher and of its own socket: the element
// never ends, needs no other source, and its clock goes on.
func TestPageByMediaSource(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	r := start(t)
	const stream = "live/cam"
	line, err := faultnet.NewProxy(r.addrs["http"], nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	one := pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	r.live(stream)
	p := browse(t).page("http://" + line.Addr() + "/" + stream + "/?by=mse")
	plays := func() {
		t.Helper()
		p.eval(nil, "window.from = [document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames, document.getElementById('video').currentTime]")
		p.waitFor(within(t), "document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames > window.from[0] + 40 && document.getElementById('video').currentTime > window.from[1] + 1")
	}
	plays()
	p.eval(nil, "window.src = document.getElementById('video').src")
	one.kill()
	r.broke(0)
	pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	r.resumed(0)
	plays()
	exact := `holdfast_viewer_resumes_total{outcome="exact",protocol="mse"}`
	before := r.metric(exact)
	for range 5 {
		line.Do(faultnet.Reset, faultnet.Both)
		plays()
	}
	if now := r.metric(exact); now < before+5 {
		t.Errorf("%v of 5 resumes were exact", now-before)
	}
	var same bool
	p.eval(&same, "window.src === document.getElementById('video').src && !document.getElementById('video').ended && document.getElementById('video').error === null")
	if !same {
		t.Error("the element has another source, an error, or has ended")
	}
	var gaps float64
	p.eval(&gaps, "document.getElementById('video').buffered.length")
	t.Logf("%v ranges buffered", gaps)
}
