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

// isNear reports whether a frequency is within 2 % of want.
func isNear(hz, want float64) bool { return math.Abs(hz-want) <= want/50 }

// waitTone waits until a viewer hears a tone.
func (v *whep) waitTone(hz float64) {
	v.page.t.Helper()
	v.waitFor("((h) => h.level > -60 && Math.abs(h.hz - " + literal(hz) + ") < " + literal(hz/50) + ")(s.hear())")
}

// TestBrowserPublishes publishes from a browser and plays in a browser and with ffmpeg over RTMP and
// HTTP-FLV.
func TestBrowserPublishes(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg", "ffprobe")
	awaitBrowser(t)
	r := startRelay(t, "--defaults.play_wait", "10s")
	const stream = "live/cam"
	p := startBrowser(t).openClientPage()
	w := p.publish(whipOptions{URL: r.url("http", "/"+stream+"/whip"), Tone: 880})
	v := p.view(whepOptions{URL: r.url("http", "/"+stream+"/whep")})
	v.waitDecoded(30)
	v.waitTone(880)
	for _, rec := range r.recordBoth(stream, 5*time.Second) {
		rec.check(5 * time.Second)
		if hz := loudestTone(t, rec.file); !isNear(hz, 880) {
			t.Errorf("%s: got a tone of %.0f Hz", rec.cmd.Args, hz)
		}
	}
	s := v.stats()
	t.Logf("publisher %+v", w.stats())
	t.Logf("viewer %+v", s)
	if s.Width == 0 || s.Codec != "video/H264" {
		t.Errorf("got %+v", s)
	}
	if status := w.leave(); status != http.StatusOK {
		t.Errorf("DELETE: got status %d", status)
	}
	if l := r.waitBreak(0); l.str("cause") != "unpublish" {
		t.Error(l.text)
	}
}

// TestPushToBrowser pushes over RTMP and checks that a browser plays audio and video at once and with low
// latency.
func TestPushToBrowser(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := startRelay(t, "--defaults.play_wait", "10s")
	const stream = "live/cam"
	clock := pushClock(t, r.url("rtmp", "/"+stream))
	r.waitLive(stream)
	p := startBrowser(t).openClientPage()
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
	t.Logf("first frame after a median of %.0f ms, %.0f to %.0f", median, first[0], first[9])
	if median > float64(slack(500*time.Millisecond).Milliseconds()) {
		t.Errorf("the first frame took %.0f ms", median)
	}
	v.waitTone(440)
	v.waitDecoded(60)
	late := clock.latencies(v, 60)
	slices.Sort(late)
	t.Logf("latency: median %v, max %v", late[len(late)/2], late[len(late)-1])
	if late[len(late)/2] > slack(250*time.Millisecond) {
		t.Errorf("got a latency of %v", late[len(late)/2])
	}
	t.Logf("got %+v", v.stats())
}

// TestPublisherReconnects loses the publisher's packets for three seconds, then reopens its page, and then
// replaces it with a push over RTMP. Viewers must continue each time without any action.
func TestPublisherReconnects(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg", "ffprobe")
	awaitBrowser(t)
	r := startRelay(t, "--defaults.play_wait", "10s")
	const stream = "live/cam"
	line := udpProxy(t, r.addrs["webrtc"], faultnet.UDPOptions{})
	b := startBrowser(t)
	options := whipOptions{URL: r.url("http", "/"+stream+"/whip"), Tone: 880, Proxied: true, ProxyPort: line.Port()}
	publisher := b.openClientPage()
	publisher.publish(options)
	v := b.openClientPage().view(whepOptions{URL: r.url("http", "/"+stream+"/whep")})
	v.waitDecoded(30)
	const length = 22 * time.Second
	records := r.recordBoth(stream, length)
	v.waitDecoded(60)
	frozen := func() float64 { return v.stats().Frozen }

	v.longestGap()
	before := frozen()
	line.BlackHole(faultnet.Both, true)
	cut := time.Now()
	if l := r.waitBreak(0); l.str("cause") != "silence" {
		t.Error(l.text)
	}
	sleep(t, 3*time.Second-time.Since(cut))
	line.BlackHole(faultnet.Both, false)
	outage := time.Since(cut)
	r.waitResume(0)
	v.waitDecoded(60)
	t.Logf("cut off for %v: longest gap %v, frozen %.0f ms", outage, v.longestGap(), frozen()-before)
	if total := time.Duration((frozen() - before) * float64(time.Millisecond)); total > outage+slack(500*time.Millisecond) {
		t.Errorf("frozen for %v in an outage of %v", total, outage)
	}

	before = frozen()
	again := time.Now()
	publisher.open(b.blank.URL) // closes the session in the page
	next := publisher.publish(options)
	r.waitResume(1)
	outage = time.Since(again)
	v.waitDecoded(60)
	t.Logf("reopened within %v: longest gap %v, frozen %.0f ms", outage, v.longestGap(), frozen()-before)

	before = frozen()
	again = time.Now()
	next.abort()
	startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	r.waitResume(2)
	outage = time.Since(again)
	v.waitDecoded(50)
	v.waitTone(440)
	t.Logf("pushed over RTMP within %v: longest gap %v, frozen %.0f ms", outage, v.longestGap(), frozen()-before)
	if s := v.stats(); s.State != "connected" {
		t.Errorf("got %+v", s)
	}
	for _, rec := range records {
		rec.check(length)
	}
}

// udpProxy returns a proxy between a peer and the relay.
func udpProxy(t testing.TB, target string, o faultnet.UDPOptions) *faultnet.UDPProxy {
	t.Helper()
	p, err := faultnet.NewUDPProxy(target, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// TestLossyPublisher publishes over a network that loses and reorders packets. Viewers must receive
// complete frames: lost packets are retransmitted, or a keyframe with its parameter sets replaces them.
func TestLossyPublisher(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg", "ffprobe")
	for _, loss := range []float64{0.05, 0.10, 0.15} {
		t.Run(fmt.Sprintf("%.0f%%", 100*loss), func(t *testing.T) {
			awaitBrowser(t)
			r := startRelay(t, "--defaults.play_wait", "10s")
			const stream, length = "live/cam", 12 * time.Second
			faults := faultnet.UDPFaults{Loss: loss, Delay: 10 * time.Millisecond, Jitter: 50 * time.Millisecond}
			line := udpProxy(t, r.addrs["webrtc"], faultnet.UDPOptions{Seed: 7, Up: faults, Down: faultnet.UDPFaults{Loss: loss, Delay: 10 * time.Millisecond}})
			b := startBrowser(t)
			w := b.openClientPage().publish(whipOptions{URL: r.url("http", "/"+stream+"/whip"), Tone: 880, Proxied: true, ProxyPort: line.Port()})
			v := b.openClientPage().view(whepOptions{URL: r.url("http", "/"+stream+"/whep")})
			v.waitDecoded(30)
			w.resizeEvery(700 * time.Millisecond) // changes the parameter sets each time
			began, from := time.Now(), v.stats()
			rec := record(t, r.url("rtmp", "/"+stream), length)
			rec.check(length) // every access unit must decode
			to := v.stats()
			sent := w.stats()
			fps := float64(to.Frames-from.Frames) / time.Since(began).Seconds()
			t.Logf("%.1f fps at the viewer, %d freezes, %.0f ms frozen; the publisher retransmitted %d packets and sent %d keyframes for %d requests, at %.0f kb/s",
				fps, to.Freezes-from.Freezes, to.Frozen-from.Frozen, sent.NACK, sent.KeyFrames, sent.PLI, w.bitrate(time.Second)/1000)
			if fps < 5 {
				t.Errorf("got %.1f fps", fps)
			}
			v.waitDecoded(10) // still playing
			if s := v.sees(); s.Spread < 5 {
				t.Errorf("got no video: %+v", s)
			}
		})
	}
}

// TestBitrateCeiling sets and removes a bit rate limit for a browser through the API.
func TestBitrateCeiling(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium")
	awaitBrowser(t)
	r := startRelay(t, "--defaults.play_wait", "10s")
	const stream = "live/cam"
	w := startBrowser(t).openClientPage().publish(whipOptions{URL: r.url("http", "/"+stream+"/whip"), Width: 1280, Height: 720, NoAudio: true})
	r.waitBitrate(w, 800_000)
	began := time.Now()
	r.setCeiling(stream, http.MethodPut, `{"bitrate": 300000}`)
	for w.bitrate(500*time.Millisecond) > 400_000 {
		if time.Since(began) > slack(5*time.Second) {
			t.Fatalf("%.0f b/s after %v", w.bitrate(time.Second), time.Since(began))
		}
	}
	t.Logf("below 400 kb/s after %v", time.Since(began))
	for range 3 {
		if bits := w.bitrate(time.Second); bits > 400_000 {
			t.Errorf("got %.0f b/s with the limit", bits)
		}
	}
	r.setCeiling(stream, http.MethodDelete, "")
	began = time.Now()
	r.waitBitrate(w, 600_000)
	t.Logf("above 600 kb/s %v after the limit was removed", time.Since(began))
}

// waitBitrate waits until a publisher sends at a bit rate.
func (r *relay) waitBitrate(w *whip, bits float64) {
	r.t.Helper()
	for began := time.Now(); w.bitrate(500*time.Millisecond) < bits; {
		if time.Since(began) > 4*waitLimit {
			r.t.Fatalf("%.0f b/s after %v: %+v", w.bitrate(time.Second), time.Since(began), w.stats())
		}
	}
}

func (r *relay) setCeiling(stream, method, body string) {
	r.t.Helper()
	if status, answer := r.routeAction(method, "streams/"+stream+"/ceiling", body); status != http.StatusOK {
		r.t.Fatalf("%s: got %d %s", method, status, answer)
	}
}
