//go:build unix

package e2e

import (
	"math"
	"testing"
	"time"
)

// near tells whether a frequency is the one, within 2 %.
func near(hz, want float64) bool { return math.Abs(hz-want) <= want/50 }

// hearing waits until a viewer hears a tone.
func (v *whep) hearing(hz float64) {
	v.page.t.Helper()
	v.waitFor("((h) => h.level > -60 && Math.abs(h.hz - " + literal(hz) + ") < " + literal(hz/50) + ")(s.hear())")
}

// A browser publishes; a browser and ffmpeg over RTMP and HTTP-FLV watch and listen.
func TestBrowserToEverybody(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg", "ffprobe")
	r := start(t)
	const stream = "live/cam"
	p := browse(t).clients()
	w := p.publish(whipOptions{URL: r.url("http", "/"+stream+"/whip"), Tone: 880})
	v := p.view(whepOptions{URL: r.url("http", "/"+stream+"/whep")})
	v.decoded(30)
	v.hearing(880)
	for _, rec := range r.records(stream, 5*time.Second) {
		rec.good(5 * time.Second)
		if hz := loudest(t, rec.file); !near(hz, 880) {
			t.Errorf("%s: a tone of %.0f Hz", rec.cmd.Args, hz)
		}
	}
	s := v.stats()
	t.Logf("publisher %+v", w.stats())
	t.Logf("viewer %+v", s)
	if s.Width != 640 && s.Width != 320 || s.Codec != "video/H264" {
		t.Errorf("%+v", s)
	}
	if status := w.leave(); status != 200 {
		t.Errorf("DELETE: %d", status)
	}
	if l := r.broke(0); l.str("cause") != "unpublish" {
		t.Error(l.text)
	}
}
