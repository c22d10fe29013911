//go:build linux

package e2e

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// blackHoleLimit is how long a push may make no progress before it counts as broken.
const blackHoleLimit = 3 * time.Second

// TestBlackHole drops all packets without an error, at first and during the redials.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	for name, dark := range map[string]func(*testing.T) (addr string, swallow func()){
		"a line that hangs": hangingLine, "a router that drops": droppingRouter,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const stream, after = "live/cam", 2 * time.Second
			addr, swallow := dark(t)
			b := startNginxRTMP(t)
			r := startWithRoutes(t, group{list: "push", urls: pushURLs(addr, b.addr)})
			p := publish(t, r, stream, gen.Options{Source: 1})
			p.waitSent(20)
			w := streamCheck{t: t, relay: r, pushes: []*publisher{p}, viewers: watchRTMPAndFLV(t, r, stream)}
			onB := b.watch(stream)
			r.waitCarries(stream, "a")
			p.waitSent(300)

			began := time.Now()
			swallow()
			_, l := r.waitRouteLog(0, "route broke", "a")
			noticed := l.at.Sub(began)
			if l.str("cause") != "stall" || noticed > slack(blackHoleLimit) {
				t.Errorf("got after %v: %s", noticed, l.text)
			}
			took := onB.waitKeyframe().at.Sub(began)
			t.Logf("detected after %v, the other server received after %v", noticed, took)
			if took > slack(blackHoleLimit+after+time.Second) {
				t.Errorf("the other server received after %v", took)
			}
			p.pause()
			w.waitSettled(p)
			w.checkComplete(nil)
			w.checkCounts()
		})
	}
}

// hangingLine returns a server that accepts data and never passes it on once swallow is called.
func hangingLine(t *testing.T) (addr string, swallow func()) {
	t.Helper()
	var dark atomic.Bool
	line, err := faultnet.NewProxy(startNginxRTMP(t).addr, func(int) faultnet.Options {
		if !dark.Load() {
			return faultnet.Options{}
		}
		return faultnet.Options{Rules: []faultnet.Rule{{Fault: faultnet.Hang, Dir: faultnet.Both}}}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	return line.Addr(), func() {
		dark.Store(true)
		line.Do(faultnet.Hang, faultnet.Both)
	}
}

func droppingRouter(t *testing.T) (addr string, swallow func()) {
	t.Helper()
	line := newLine(t)
	return line.nginx().addr, line.dropAll
}
