//go:build unix

package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// pushAt pushes to another server than the relay.
func pushAt(t testing.TB, addr, stream string, o gen.Options) *publisher {
	t.Helper()
	c, err := openOn(t, addr, "publish", stream, nil)
	if err != nil {
		t.Fatalf("publish at %s: %v", addr, err)
	}
	return push(t, c, o)
}

// origins are two that have the same stream, each from a push of its own.
type origins struct {
	urls   []string
	pushes []*publisher
	kill   func() // ends the first
}

// Two servers have a stream; the one that it is pulled from is killed. What holds for the
// viewers of a push that breaks and comes back holds for those of a pull.
func TestPullFailover(t *testing.T) {
	t.Parallel()
	for name, have := range map[string]func(*testing.T) origins{"RTMP": nginxOrigins, "HTTP-FLV": relayOrigins} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const stream = "live/cam"
			o := have(t)
			r := routing(t, group{list: "pull", urls: o.urls, match: stream})
			r.live(stream)
			w := watched{t: t, relay: r, pushes: o.pushes, viewers: both(t, r, stream)}
			for _, v := range w.viewers {
				v.joins()
			}
			w.viewers[0].more(300)

			killed := time.Now()
			o.kill()
			_, l := r.routeLine(0, "route switch", "b")
			r.resumed(0)
			t.Logf("switched after %v: %s", l.at.Sub(killed), l.str("detail"))
			w.viewers[0].more(300)
			w.pushes[1].halt()
			w.settled(w.pushes[1])
			w.changedOver()
			t.Logf("lip-sync moved by %v", w.inSync())
		})
	}
}

// nginxOrigins are two nginx-rtmp.
func nginxOrigins(t *testing.T) origins {
	t.Helper()
	a, b := nginxRTMP(t), nginxRTMP(t)
	return origins{
		urls:   []string{"rtmp://" + a.addr + "/live/cam", "rtmp://" + b.addr + "/live/cam"},
		pushes: []*publisher{pushAt(t, a.addr, "live/cam", gen.Options{Source: 1}), pushAt(t, b.addr, "live/cam", gen.Options{Source: 2})},
		kill:   a.kill,
	}
}

// relayOrigins are two relays, of which the first is cut off.
func relayOrigins(t *testing.T) origins {
	t.Helper()
	a, b := start(t), start(t)
	line, err := faultnet.NewProxy(a.addrs["http"], nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	return origins{
		urls:   []string{"http://" + line.Addr() + "/live/cam.flv", b.url("http", "/live/cam.flv")},
		pushes: []*publisher{publish(t, a, "live/cam", gen.Options{Source: 1}), publish(t, b, "live/cam", gen.Options{Source: 2})},
		kill: func() {
			line.Refuse(true)
			line.Do(faultnet.Reset, faultnet.Both)
		},
	}
}

// changedOver asserts that every viewer is there, has the frames of both pushes without a gap
// in either, those of the second from a keyframe on, and that the clock went on over the change
// as the wall clock did. That decode times rise and that nothing comes twice or harmed, each
// viewer sees to by itself.
func (w watched) changedOver() {
	w.t.Helper()
	var clock time.Duration
	for _, v := range w.viewers {
		v.watching()
		old, fresh := v.seen(w.pushes[0].source), v.seen(w.pushes[1].source)
		if len(old) == 0 || len(fresh) == 0 {
			w.t.Errorf("%s viewer: %d and %d frames", v.name, len(old), len(fresh))
			continue
		}
		for _, frames := range [][]frame{old, fresh} {
			var next [packetbuf.NumTracks]uint64
			for _, f := range frames {
				if n := next[f.track]; n != 0 && f.id.Number != n {
					w.t.Errorf("%s viewer: %s frame %d of push %d where %d should be", v.name, f.track, f.id.Number, f.id.Source, n)
					return
				}
				next[f.track] = f.id.Number + 1
			}
		}
		last, first := old[len(old)-1], fresh[0]
		if !first.key {
			w.t.Errorf("%s viewer: push %d begins with %+v", v.name, w.pushes[1].source, first)
		}
		// By when they came: an origin may begin with what was sent before.
		off := first.dts - last.dts - first.at.Sub(last.at)
		if off.Abs() > clock.Abs() {
			clock = off
		}
	}
	w.t.Logf("the clock is %v off", clock)
	if clock.Abs() > slack(clockLimit) {
		w.t.Errorf("the stream's clock is %v off the wall clock", clock)
	}
}

// What nobody watches is not pulled: not before the first viewer and not after the last.
func TestPullOnDemand(t *testing.T) {
	t.Parallel()
	const stream = "live/cam"
	origin := nginxRTMP(t)
	pushAt(t, origin.addr, stream, gen.Options{Source: 1})
	proxy, err := faultnet.NewProxy(origin.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	r := routing(t, group{list: "pull", urls: pushTo(proxy.Addr()), more: "on_demand: true"})
	wait(t, time.Second)
	if proxy.Wire(0) != nil {
		t.Error("it is pulled before anybody watches")
	}
	began := time.Now()
	one := watchFLV(t, r, stream)
	t.Logf("the first picture came after %v", one.joins().at.Sub(began))
	two := watchRTMP(t, r, stream)
	two.joins()
	one.leave()
	two.more(200)
	if proxy.Wire(1) != nil {
		t.Error("it is pulled twice")
	}
	two.leave()
	left := time.Now()
	_, l := r.expect(0, "nobody watches", func(l logLine) bool { return l.is("route decision") && l.str("cause") == "unwatched" })
	t.Logf("the pull ended %v after the last viewer had left", l.at.Sub(left))
	until(t, "the pull ends", func() bool { return len(r.shown().Groups[0].Streams) == 0 })
	if proxy.Wire(1) != nil {
		t.Error("it was pulled again")
	}
}

// A viewer of what no origin has is told soon.
func TestPullOfNothing(t *testing.T) {
	t.Parallel()
	origin, silent := start(t), nginxRTMP(t)
	for name, tt := range map[string]struct {
		url  string
		soon time.Duration
	}{
		"an origin that says so":       {"rtmp://" + origin.addrs["rtmp"] + "/live/{name}", time.Second},
		"an origin of HTTP":            {origin.url("http", "/live/{name}.flv"), time.Second},
		"an origin that has one wait":  {"rtmp://" + silent.addr + "/live/{name}", 12 * time.Second},
		"an origin that does not live": {"rtmp://127.0.0.1:9/live/{name}", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := routing(t, group{list: "pull", urls: []string{tt.url}, more: "on_demand: true"})
			began := time.Now()
			status, header, body := ask(t, http.MethodGet, r.url("http", "/live/nobody.flv"))
			took := time.Since(began)
			t.Logf("refused after %v", took)
			if status != http.StatusNotFound || header.Get("Retry-After") == "" || took > slack(tt.soon) {
				t.Errorf("status %d after %v: %s", status, took, body)
			}
			if tt.soon > time.Second {
				return
			}
			if got := refusal(t, r.addrs["rtmp"], "play", "live/no2"); got.code != "NetStream.Play.StreamNotFound" {
				t.Errorf("over RTMP: %v", got)
			}
		})
	}
}
