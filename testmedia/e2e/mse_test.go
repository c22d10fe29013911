//go:build unix

package e2e

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

// TestPageByMediaSource checks that the page plays at once with audio, and over a break of the publisher
// and ten of its own socket without a visible effect: what arrives after a cut continues what came before.
func TestPageByMediaSource(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := startRelay(t)
	const stream = "live/cam"
	line, err := faultnet.NewProxy(r.addrs["http"], nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	one := startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	r.waitLive(stream)
	p := startBrowser(t).openPage("http://" + line.Addr() + "/" + stream + "/?by=mse")
	p.waitFrames(1)
	var first, heard float64
	p.eval(&first, "performance.timeOrigin ? performance.now() : 0")
	t.Logf("the page played within %.0f ms of opening", first)
	if first > 5000 {
		t.Errorf("the page took %.0f ms to play", first)
	}
	p.waitState("live")
	p.waitFrames(25)
	p.eval(&heard, "video.webkitAudioDecodedByteCount")
	if heard == 0 {
		t.Error("got no audio")
	}
	p.recordFaults()
	one.kill()
	r.waitBreak(0)
	p.waitState("held, last picture")
	sleep(t, 5*time.Second)
	startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	r.waitResume(0)
	p.waitState("live")
	p.waitFrames(25)
	before := p.stats()
	chance := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same cuts each time
	for i := range 10 {
		line.Do(faultnet.Reset, faultnet.Both)
		p.waitFor(waitContext(t), "holdfast.exact > "+literal(before.Exact+i))
		p.waitFrames(10)
		sleep(t, time.Duration(chance.IntN(1200))*time.Millisecond)
	}
	p.waitState("live")
	p.checkNoFaults()
	s := p.stats()
	t.Logf("got %+v", s)
	if s.Exact-before.Exact < 10 || s.Keyframe != 0 || s.Repeated != 0 || s.Missing != 0 || s.Ranges != 1 || s.Jumps != before.Jumps {
		t.Errorf("after ten cuts: got %+v", s)
	}
	if s.Latency < 0 || s.Latency > slack(6*time.Second).Seconds() {
		t.Errorf("got a latency of %.1f s", s.Latency)
	}
	p.checkConsole()
}

// setOffline sets whether the browser is offline.
func (p *page) setOffline(off bool) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: off, DownloadThroughput: -1, UploadThroughput: -1})
		return err
	})); err != nil {
		p.t.Fatal(err)
	}
}

// TestPageOffline checks that the page does not reconnect while the browser is offline, and reconnects at
// once when it is online again.
func TestPageOffline(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := startRelay(t)
	line, err := faultnet.NewProxy(r.addrs["http"], nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	startEncoder(t, r.url("rtmp", "/live/cam"), encoderSource{size: "640x360", tone: true})
	r.waitLive("live/cam")
	p := startBrowser(t).openPage("http://" + line.Addr() + "/live/cam/")
	p.waitState("live")
	p.waitFrames(25)
	p.setOffline(true)
	p.waitFor(waitContext(t), "!navigator.onLine")
	line.Do(faultnet.Reset, faultnet.Both)
	p.waitState("reconnecting")
	p.waitFor(waitContext(t), "document.getElementById('detail').textContent.includes('offline')")
	before := p.stats().Dials
	sleep(t, 3*time.Second)
	if now := p.stats().Dials; now != before {
		t.Errorf("got %d dials while offline", now-before)
	}
	p.setOffline(false)
	began := time.Now()
	p.waitState("live")
	if took := time.Since(began); took > slack(time.Second) {
		t.Errorf("the page resumed after %v", took)
	}
	if now := p.stats().Dials; now != before+1 {
		t.Errorf("got %d dials to resume", now-before)
	}
	p.waitFrames(25)

	// The page must close a socket that is open but silent.
	line.Do(faultnet.Hang, faultnet.Down)
	p.waitState("reconnecting")
	p.waitState("live")
	p.waitFrames(25)
}
