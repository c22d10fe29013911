//go:build unix

package e2e

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/faultnet"
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
	awaitBrowser(t)
	r := start(t, "--defaults.play_wait", "10s")
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
	if s.Width == 0 || s.Codec != "video/H264" {
		t.Errorf("%+v", s)
	}
	if status := w.leave(); status != http.StatusOK {
		t.Errorf("DELETE: %d", status)
	}
	if l := r.broke(0); l.str("cause") != "unpublish" {
		t.Error(l.text)
	}
}

// What an encoder pushes over RTMP is seen and heard in a browser: at once, and soon after it
// was made.
func TestPushToBrowser(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := start(t, "--defaults.play_wait", "10s")
	const stream = "live/cam"
	clock := pushClock(t, r.url("rtmp", "/"+stream))
	r.live(stream)
	p := browse(t).clients()
	var first []float64
	var v *whep
	for range 10 {
		if v != nil {
			v.leave()
		}
		v = p.view(whepOptions{URL: r.url("http", "/"+stream+"/whep")})
		v.waitFor("s.first !== undefined")
		first = append(first, v.stats().FirstFrame)
	}
	slices.Sort(first)
	median := (first[4] + first[5]) / 2
	t.Logf("first picture after %.0f ms in the median, %.0f to %.0f", median, first[0], first[9])
	if median > float64(slack(500*time.Millisecond).Milliseconds()) {
		t.Errorf("the first picture came after %.0f ms", median)
	}
	v.hearing(440)
	v.decoded(60)
	late := clock.latencies(v, 60)
	slices.Sort(late)
	t.Logf("a picture is seen %v after it was made in the median, %v at the most", late[len(late)/2], late[len(late)-1])
	if late[len(late)/2] > slack(250*time.Millisecond) {
		t.Errorf("latency %v", late[len(late)/2])
	}
	t.Logf("%+v", v.stats())
}

// The publisher's packets vanish for three seconds; then its page is opened anew; then it comes
// back over RTMP. Nobody who watches has to do anything.
func TestPublisherComesBackHoweverItCan(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg", "ffprobe")
	awaitBrowser(t)
	r := start(t, "--defaults.play_wait", "10s")
	const stream = "live/cam"
	line := udpProxy(t, r.addrs["webrtc"], faultnet.UDPOptions{})
	b := browse(t)
	options := whipOptions{URL: r.url("http", "/"+stream+"/whip"), Tone: 880, Proxied: true, ProxyPort: line.Port()}
	publisher := b.clients()
	publisher.publish(options)
	v := b.clients().view(whepOptions{URL: r.url("http", "/"+stream+"/whep")})
	v.decoded(30)
	const length = 22 * time.Second
	records := r.records(stream, length)
	v.decoded(60)
	frozen := func() float64 { return v.stats().Frozen }

	v.gap()
	before := frozen()
	line.BlackHole(faultnet.Both, true)
	cut := time.Now()
	if l := r.broke(0); l.str("cause") != "silence" {
		t.Error(l.text)
	}
	wait(t, 3*time.Second-time.Since(cut))
	line.BlackHole(faultnet.Both, false)
	outage := time.Since(cut)
	r.resumed(0)
	v.decoded(60)
	t.Logf("cut off for %v: longest time without a picture %v, frozen %.0f ms", outage, v.gap(), frozen()-before)
	if total := time.Duration((frozen() - before) * float64(time.Millisecond)); total > outage+slack(500*time.Millisecond) {
		t.Errorf("frozen for %v of an outage of %v", total, outage)
	}

	before = frozen()
	again := time.Now()
	publisher.open(b.blank.URL) // what the page had is gone
	next := publisher.publish(options)
	r.resumed(1)
	outage = time.Since(again)
	v.decoded(60)
	t.Logf("opened anew within %v: longest time without a picture %v, frozen %.0f ms", outage, v.gap(), frozen()-before)

	before = frozen()
	again = time.Now()
	next.vanish()
	pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	r.resumed(2)
	outage = time.Since(again)
	v.decoded(50)
	v.hearing(440)
	t.Logf("back over RTMP within %v: longest time without a picture %v, frozen %.0f ms", outage, v.gap(), frozen()-before)
	if s := v.stats(); s.State != "connected" {
		t.Errorf("%+v", s)
	}
	for _, rec := range records {
		rec.good(length)
	}
}

// udpProxy stands between a peer and the relay.
func udpProxy(t testing.TB, target string, o faultnet.UDPOptions) *faultnet.UDPProxy {
	t.Helper()
	p, err := faultnet.NewUDPProxy(target, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// On a line that loses and reorders, what reaches viewers is whole: what is lost is sent again,
// or a keyframe comes in its place, with the parameter sets that belong to it.
func TestLossyPublisher(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg", "ffprobe")
	for _, loss := range []float64{0.05, 0.10, 0.15} {
		t.Run(fmt.Sprintf("%.0f%%", 100*loss), func(t *testing.T) {
			awaitBrowser(t)
			r := start(t, "--defaults.play_wait", "10s")
			const stream, length = "live/cam", 12 * time.Second
			faults := faultnet.UDPFaults{Loss: loss, Delay: 10 * time.Millisecond, Jitter: 50 * time.Millisecond}
			line := udpProxy(t, r.addrs["webrtc"], faultnet.UDPOptions{Seed: 7, Up: faults, Down: faultnet.UDPFaults{Loss: loss, Delay: 10 * time.Millisecond}})
			b := browse(t)
			w := b.clients().publish(whipOptions{URL: r.url("http", "/"+stream+"/whip"), Tone: 880, Proxied: true, ProxyPort: line.Port()})
			v := b.clients().view(whepOptions{URL: r.url("http", "/"+stream+"/whep")})
			v.decoded(30)
			w.resizes(700 * time.Millisecond) // each with other parameter sets
			began, from := time.Now(), v.stats()
			rec := record(t, r.url("rtmp", "/"+stream), length)
			rec.good(length) // every access unit decodes
			to := v.stats()
			sent := w.stats()
			fps := float64(to.Frames-from.Frames) / time.Since(began).Seconds()
			t.Logf("%.1f pictures per second at the viewer, %d freezes, %.0f ms frozen; the publisher sent %d packets again, %d keyframes for %d requests, at %.0f kb/s",
				fps, to.Freezes-from.Freezes, to.Frozen-from.Frozen, sent.NACK, sent.KeyFrames, sent.PLI, w.bitrate(time.Second)/1000)
			if fps < 5 {
				t.Errorf("%.1f pictures per second", fps)
			}
			v.decoded(10) // still
			if s := v.sees(); s.Spread < 5 {
				t.Errorf("no picture: %+v", s)
			}
		})
	}
}

// An operator asks a browser for less, and lifts that again.
func TestCeiling(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	awaitBrowser(t)
	r := start(t, "--defaults.play_wait", "10s")
	const stream = "live/cam"
	w := browse(t).clients().publish(whipOptions{URL: r.url("http", "/"+stream+"/whip"), Width: 1280, Height: 720, NoAudio: true})
	r.broad(w, 800_000)
	began := time.Now()
	r.ceiling(stream, http.MethodPut, `{"bitrate": 300000}`)
	for w.bitrate(500*time.Millisecond) > 400_000 {
		if time.Since(began) > slack(5*time.Second) {
			t.Fatalf("%.0f b/s after %v", w.bitrate(time.Second), time.Since(began))
		}
	}
	t.Logf("below 400 kb/s after %v", time.Since(began))
	for range 3 {
		if bits := w.bitrate(time.Second); bits > 400_000 {
			t.Errorf("%.0f b/s under the ceiling", bits)
		}
	}
	r.ceiling(stream, http.MethodDelete, "")
	began = time.Now()
	r.broad(w, 600_000)
	t.Logf("above 600 kb/s again %v after it was lifted", time.Since(began))
}

// broad waits until a publisher sends as much.
func (r *relay) broad(w *whip, bits float64) {
	r.t.Helper()
	for began := time.Now(); w.bitrate(500*time.Millisecond) < bits; {
		if time.Since(began) > 4*patience {
			r.t.Fatalf("%.0f b/s after %v: %+v", w.bitrate(time.Second), time.Since(began), w.stats())
		}
	}
}

func (r *relay) ceiling(stream, method, body string) {
	r.t.Helper()
	if status, answer := r.acts(method, "streams/"+stream+"/ceiling", body); status != http.StatusOK {
		r.t.Fatalf("%s: %d %s", method, status, answer)
	}
}
