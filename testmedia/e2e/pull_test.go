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

// publishAt publishes to a server other than the relay.
func publishAt(t testing.TB, addr, stream string, o gen.Options) *publisher {
	t.Helper()
	c, err := openClient(t, addr, "publish", stream, nil)
	if err != nil {
		t.Fatalf("publish at %s: %v", addr, err)
	}
	return startPush(t, c, o)
}

// origins are two servers with the same stream, each from its own push.
type origins struct {
	urls      []string
	pushes    []*publisher
	killFirst func() // stops the first server
}

// TestPullFailover kills the server that a stream is pulled from; another has the stream too. The
// guarantees for viewers of a push that breaks and returns apply to viewers of a pull.
func TestPullFailover(t *testing.T) {
	t.Parallel()
	for name, have := range map[string]func(*testing.T) origins{"RTMP": nginxOrigins, "HTTP-FLV": relayOrigins} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const stream = "live/cam"
			o := have(t)
			r := startWithRoutes(t, group{list: "pull", urls: o.urls, match: stream})
			r.waitLive(stream)
			w := streamCheck{t: t, relay: r, pushes: o.pushes, viewers: watchRTMPAndFLV(t, r, stream)}
			for _, v := range w.viewers {
				v.waitKeyframe()
			}
			w.viewers[0].waitFrames(300)

			killed := time.Now()
			o.killFirst()
			_, l := r.waitRouteLog(0, "route switch", "b")
			r.waitResume(0)
			t.Logf("switched after %v: %s", l.at.Sub(killed), l.str("detail"))
			w.viewers[0].waitFrames(300)
			w.pushes[1].pause()
			w.waitSettled(w.pushes[1])
			w.checkSwitch()
			t.Logf("lip-sync shifted by %v", w.checkSync())
		})
	}
}

// nginxOrigins returns two nginx-rtmp servers.
func nginxOrigins(t *testing.T) origins {
	t.Helper()
	a, b := startNginxRTMP(t), startNginxRTMP(t)
	return origins{
		urls:      []string{"rtmp://" + a.addr + "/live/cam", "rtmp://" + b.addr + "/live/cam"},
		pushes:    []*publisher{publishAt(t, a.addr, "live/cam", gen.Options{Source: 1}), publishAt(t, b.addr, "live/cam", gen.Options{Source: 2})},
		killFirst: a.kill,
	}
}

// relayOrigins returns two relays, the first of which can be cut off.
func relayOrigins(t *testing.T) origins {
	t.Helper()
	a, b := startRelay(t), startRelay(t)
	line, err := faultnet.NewProxy(a.addrs["http"], nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	return origins{
		urls:   []string{"http://" + line.Addr() + "/live/cam.flv", b.url("http", "/live/cam.flv")},
		pushes: []*publisher{publish(t, a, "live/cam", gen.Options{Source: 1}), publish(t, b, "live/cam", gen.Options{Source: 2})},
		killFirst: func() {
			line.Refuse(true)
			line.Do(faultnet.Reset, faultnet.Both)
		},
	}
}

// checkSwitch checks that every viewer is playing and has the frames of both pushes without a gap in
// either, those of the second from a keyframe on, and that the clock followed the wall clock over the
// switch. Each viewer checks by itself that DTS increase and that no frame is repeated or damaged.
func (w streamCheck) checkSwitch() {
	w.t.Helper()
	var clock time.Duration
	for _, v := range w.viewers {
		v.checkOpen()
		old, fresh := v.framesFrom(w.pushes[0].source), v.framesFrom(w.pushes[1].source)
		if len(old) == 0 || len(fresh) == 0 {
			w.t.Errorf("%s viewer: got %d frames before and %d after the switch, want some", v.name, len(old), len(fresh))
			continue
		}
		for _, frames := range [][]frame{old, fresh} {
			var next [packetbuf.NumTracks]uint64
			for _, f := range frames {
				if n := next[f.track]; n != 0 && f.id.Number != n {
					w.t.Errorf("%s viewer: got %s frame %d of push %d, want %d", v.name, f.track, f.id.Number, f.id.Source, n)
					return
				}
				next[f.track] = f.id.Number + 1
			}
		}
		last, first := old[len(old)-1], fresh[0]
		if !first.key {
			w.t.Errorf("%s viewer: push %d begins with %+v, want a keyframe", v.name, w.pushes[1].source, first)
		}
		// Compare arrival times: an origin may begin with older frames.
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

// TestPullOnDemand checks that a stream is not pulled before the first viewer joins and after the last has
// left.
func TestPullOnDemand(t *testing.T) {
	t.Parallel()
	const stream = "live/cam"
	origin := startNginxRTMP(t)
	publishAt(t, origin.addr, stream, gen.Options{Source: 1})
	proxy, err := faultnet.NewProxy(origin.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	r := startWithRoutes(t, group{list: "pull", urls: pushURLs(proxy.Addr()), more: "on_demand: true"})
	sleep(t, time.Second)
	if proxy.Wire(0) != nil {
		t.Error("got a pull before the first viewer")
	}
	began := time.Now()
	one := watchFLV(t, r, stream)
	t.Logf("the first frame arrived after %v", one.waitKeyframe().at.Sub(began))
	two := watchRTMP(t, r, stream)
	two.waitKeyframe()
	one.leave()
	two.waitFrames(200)
	if proxy.Wire(1) != nil {
		t.Error("got a second pull")
	}
	two.leave()
	left := time.Now()
	_, l := r.waitLog(0, "the pull to end without viewers", func(l logLine) bool { return l.is("route decision") && l.str("cause") == "unwatched" })
	t.Logf("the pull ended %v after the last viewer had left", l.at.Sub(left))
	waitUntil(t, "the pull ends", func() bool { return len(r.routesStatus().Groups[0].Streams) == 0 })
	if proxy.Wire(1) != nil {
		t.Error("got another pull")
	}
}

// TestPullOfUnknownStream checks that a viewer of a stream that no origin has gets an error soon.
func TestPullOfUnknownStream(t *testing.T) {
	t.Parallel()
	origin, silent := startRelay(t), startNginxRTMP(t)
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
			r := startWithRoutes(t, group{list: "pull", urls: []string{tt.url}, more: "on_demand: true"})
			began := time.Now()
			status, header, body := httpRequest(t, http.MethodGet, r.url("http", "/live/nobody.flv"))
			took := time.Since(began)
			t.Logf("refused after %v", took)
			if status != http.StatusNotFound || header.Get("Retry-After") == "" || took > slack(tt.soon) {
				t.Errorf("got status %d after %v: %s", status, took, body)
			}
			if tt.soon > time.Second {
				return
			}
			if got := expectRefusal(t, r.addrs["rtmp"], "play", "live/no2"); got.code != "NetStream.Play.StreamNotFound" {
				t.Errorf("RTMP: got %v", got)
			}
		})
	}
}
