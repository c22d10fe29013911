//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// The server that a push goes to is killed: another has the stream soon, whoever watches the
// relay notices nothing, and the first gets the stream back once it has been well for a time.
func TestFailover(t *testing.T) {
	t.Parallel()
	const stream, after, rise = "live/cam", 2 * time.Second, 3 * time.Second
	a, b := nginxRTMP(t), nginxRTMP(t)
	r := routing(t, group{list: "push", urls: pushTo(a.addr, b.addr), more: "failover: {after: 2s, rise: 3s, probe: 500ms}"})
	p := publish(t, r, stream, gen.Options{Source: 1})
	p.atLeast(20)
	w := watched{t: t, relay: r, pushes: []*publisher{p}, viewers: both(t, r, stream)}
	onA, onB := a.watch(stream), b.watch(stream)
	onA.more(150)

	killed := time.Now()
	a.kill()
	took := onB.joins().at.Sub(killed)
	t.Logf("the other server had the stream after %v", took)
	if took > slack(after+time.Second) {
		t.Errorf("the other server had the stream after %v", took)
	}
	onB.more(100)

	a.start()
	back := time.Now()
	took = a.watch(stream).joins().at.Sub(back)
	t.Logf("the first server had the stream back after %v", took)
	if took < rise || took > slack(rise+2*time.Second) {
		t.Errorf("the first server had the stream back after %v", took)
	}
	r.carries(stream, "a")
	if n, m := r.switches("broken"), r.switches("return"); n != 1 || m != 1 || r.switches() != 2 {
		t.Errorf("%d switches from what broke, %d returns, %d in all", n, m, r.switches())
	}
	onB.watching()
	p.halt()
	w.settled(p)
	w.whole(nil)
	w.counted()
	t.Logf("lip-sync moved by %v", w.inSync())
}

// A server comes and goes ten times. What stands in the configuration is a fifth of the
// defaults, and so is the rhythm.
func TestFlapping(t *testing.T) {
	t.Parallel()
	const stream, times, phase = "live/cam", 10, time.Second
	a, b := nginxRTMP(t), nginxRTMP(t)
	line, err := faultnet.NewProxy(a.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	r := routing(t, group{
		list: "push", urls: pushTo(line.Addr(), b.addr),
		more: "redial: {base: 100ms, max: 6s}, failover: {after: 400ms, rise: 6s, probe: 1s}",
	})
	p := publish(t, r, stream, gen.Options{Source: 1, VideoBitrate: 500_000})
	r.carries(stream, "a")
	for range times {
		wait(t, phase)
		line.Refuse(true)
		line.Do(faultnet.Reset, faultnet.Both)
		wait(t, phase)
		line.Refuse(false)
	}
	n := r.switches()
	t.Logf("%d switches", n)
	if n == 0 || n > 3 {
		t.Errorf("%d switches", n)
	}
	onB := b.watch(stream)
	onB.more(50)
	p.halt()
}
