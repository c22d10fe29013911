//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestFailover kills the server that receives a push. Another server must receive the stream soon, viewers
// of the relay must notice nothing, and the first server must get the stream back once it has been healthy
// for a while.
func TestFailover(t *testing.T) {
	t.Parallel()
	const stream, after, rise = "live/cam", 2 * time.Second, 3 * time.Second
	a, b := startNginxRTMP(t), startNginxRTMP(t)
	r := startWithRoutes(t, group{list: "push", urls: pushURLs(a.addr, b.addr), more: "failover: {after: 2s, rise: 3s, probe: 500ms}"})
	p := publish(t, r, stream, gen.Options{Source: 1})
	p.waitSent(20)
	w := streamCheck{t: t, relay: r, pushes: []*publisher{p}, viewers: watchRTMPAndFLV(t, r, stream)}
	onA, onB := a.watch(stream), b.watch(stream)
	onA.waitFrames(150)

	killed := time.Now()
	a.kill()
	took := onB.waitKeyframe().at.Sub(killed)
	t.Logf("the other server received the stream after %v", took)
	if took > slack(after+time.Second) {
		t.Errorf("the other server received the stream after %v", took)
	}
	onB.waitFrames(100)

	a.start()
	back := time.Now()
	took = a.watch(stream).waitKeyframe().at.Sub(back)
	t.Logf("the first server received the stream again after %v", took)
	if took < rise || took > slack(rise+2*time.Second) {
		t.Errorf("the first server received the stream again after %v", took)
	}
	r.waitCarries(stream, "a")
	if n, m := r.switchCount("broken"), r.switchCount("return"); n != 1 || m != 1 || r.switchCount() != 2 {
		t.Errorf("got %d switches for a break and %d returns, %d switches in all", n, m, r.switchCount())
	}
	onB.checkOpen()
	p.pause()
	w.waitSettled(p)
	w.checkComplete(nil)
	w.checkCounts()
	t.Logf("lip-sync shifted by %v", w.checkSync())
}

// TestFlapping stops and starts a server ten times. All times in the configuration are a fifth of the
// defaults.
func TestFlapping(t *testing.T) {
	t.Parallel()
	const stream, times, phase = "live/cam", 10, time.Second
	a, b := startNginxRTMP(t), startNginxRTMP(t)
	line, err := faultnet.NewProxy(a.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	r := startWithRoutes(t, group{
		list: "push", urls: pushURLs(line.Addr(), b.addr),
		more: "redial: {base: 100ms, max: 6s}, failover: {after: 400ms, rise: 6s, probe: 1s}",
	})
	p := publish(t, r, stream, gen.Options{Source: 1, VideoBitrate: 500_000})
	r.waitCarries(stream, "a")
	for range times {
		sleep(t, phase)
		line.Refuse(true)
		line.Do(faultnet.Reset, faultnet.Both)
		sleep(t, phase)
		line.Refuse(false)
	}
	n := r.switchCount()
	t.Logf("got %d switches", n)
	if n == 0 || n > 3 {
		t.Errorf("got %d switches", n)
	}
	onB := b.watch(stream)
	onB.waitFrames(50)
	p.pause()
}
