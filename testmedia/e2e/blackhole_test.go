//go:build linux

package e2e

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// noticeLimit is how long a push may stand still before that counts as a break.
const noticeLimit = 3 * time.Second

// Nothing that is sent arrives any more and nothing says so, at first nor at the redials.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	for name, dark := range map[string]func(*testing.T) (addr string, swallow func()){
		"a line that hangs": hangingLine, "a router that drops": droppingRouter,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const stream, after = "live/cam", 2 * time.Second
			addr, swallow := dark(t)
			b := nginxRTMP(t)
			r := routing(t, group{list: "push", urls: pushTo(addr, b.addr)})
			p := publish(t, r, stream, gen.Options{Source: 1})
			p.atLeast(20)
			w := watched{t: t, relay: r, pushes: []*publisher{p}, viewers: both(t, r, stream)}
			onB := b.watch(stream)
			r.carries(stream, "a")
			p.atLeast(300)

			began := time.Now()
			swallow()
			_, l := r.routeLine(0, "route broke", "a")
			noticed := l.at.Sub(began)
			if l.str("cause") != "stall" || noticed > slack(noticeLimit) {
				t.Errorf("after %v: %s", noticed, l.text)
			}
			took := onB.joins().at.Sub(began)
			t.Logf("noticed after %v, the other server had the stream after %v", noticed, took)
			if took > slack(noticeLimit+after+time.Second) {
				t.Errorf("the other server had the stream after %v", took)
			}
			p.halt()
			w.settled(p)
			w.whole(nil)
			w.counted()
		})
	}
}

// hangingLine has an end that takes what it is sent and keeps it.
func hangingLine(t *testing.T) (addr string, swallow func()) {
	t.Helper()
	var dark atomic.Bool
	line, err := faultnet.NewProxy(nginxRTMP(t).addr, func(int) faultnet.Options {
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
	return line.nginx().addr, line.swallow
}
