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

// The page plays at once, with sound, and over a break of the publisher and ten of its own socket
// as if nothing had happened: what came before the cut and what came after fit together.
func TestPageByMediaSource(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
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
	p.plays(1)
	var first, heard float64
	p.eval(&first, "performance.timeOrigin ? performance.now() : 0")
	t.Logf("a picture was seen to play within %.0f ms of opening", first)
	if first > 5000 {
		t.Errorf("it took %.0f ms to play", first)
	}
	p.says("live")
	p.plays(25)
	p.eval(&heard, "video.webkitAudioDecodedByteCount")
	if heard == 0 {
		t.Error("there is no sound")
	}
	p.watched()
	one.kill()
	r.broke(0)
	p.says("held, last picture")
	wait(t, 5*time.Second)
	pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	r.resumed(0)
	p.says("live")
	p.plays(25)
	before := p.stats()
	chance := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same cuts each time
	for i := range 10 {
		line.Do(faultnet.Reset, faultnet.Both)
		p.waitFor(within(t), "holdfast.exact > "+literal(before.Exact+i))
		p.plays(10)
		wait(t, time.Duration(chance.IntN(1200))*time.Millisecond)
	}
	p.says("live")
	p.unharmed()
	s := p.stats()
	t.Logf("%+v", s)
	if s.Exact-before.Exact < 10 || s.Keyframe != 0 || s.Repeated != 0 || s.Missing != 0 || s.Ranges != 1 || s.Jumps != before.Jumps {
		t.Errorf("after ten cuts: %+v", s)
	}
	if s.Latency < 0 || s.Latency > slack(6*time.Second).Seconds() {
		t.Errorf("%.1f s behind", s.Latency)
	}
	p.quiet()
}

// offline has the browser be, or not be.
func (p *page) offline(off bool) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: off, DownloadThroughput: -1, UploadThroughput: -1})
		return err
	})); err != nil {
		p.t.Fatal(err)
	}
}

// While the browser is offline nothing is dialled; when it is online again, at once.
func TestPageOffline(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := start(t)
	line, err := faultnet.NewProxy(r.addrs["http"], nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	pushing(t, r.url("rtmp", "/live/cam"), source{picture: "640x360", tone: true})
	r.live("live/cam")
	p := browse(t).page("http://" + line.Addr() + "/live/cam/")
	p.says("live")
	p.plays(25)
	p.offline(true)
	p.waitFor(within(t), "!navigator.onLine")
	line.Do(faultnet.Reset, faultnet.Both)
	p.says("reconnecting")
	p.waitFor(within(t), "document.getElementById('detail').textContent.includes('offline')")
	before := p.stats().Dials
	wait(t, 3*time.Second)
	if now := p.stats().Dials; now != before {
		t.Errorf("%d dials while offline", now-before)
	}
	p.offline(false)
	began := time.Now()
	p.says("live")
	if took := time.Since(began); took > slack(time.Second) {
		t.Errorf("back after %v", took)
	}
	if now := p.stats().Dials; now != before+1 {
		t.Errorf("%d dials to come back", now-before)
	}
	p.plays(25)

	// A socket that is open and says nothing is given up by the page.
	line.Do(faultnet.Hang, faultnet.Down)
	p.says("reconnecting")
	p.says("live")
	p.plays(25)
}
