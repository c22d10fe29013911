package route

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

func TestPushFailsOverAndReturns(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a, b := w.destination("a:1935"), w.destination("b:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		time.Sleep(20 * time.Second) // b has been probed
		a.kill()
		if took := w.waitFor("b receives", 10*time.Second, b.receiving); took > 3*time.Second {
			t.Errorf("b received after %v, want at most 3s", took)
		}
		a.start()
		back := w.waitFor("a receives again", time.Minute, a.receiving)
		if back < 29*time.Second || back > 40*time.Second {
			t.Errorf("a received again after %v, want 29s to 40s", back)
		}
		time.Sleep(2 * time.Second)
		if b.receiving() {
			t.Error("b still receives after the switch")
		}
		if n := w.switches(); n != 2 {
			t.Errorf("got %d switches, want 2: %q", n, w.eventsOf(Switched, Decided))
		}
		checkPushed(t, a)
		checkPushed(t, b)
		if c := b.connections(); c[len(c)-1].ended != "unpublish" {
			t.Errorf("b: got end %q, want unpublish", c[len(c)-1].ended)
		}
	}, pushGroup(nil, "a:1935", "b:1935"))
}

// checkPushed checks that each connection begins with configuration and a keyframe, that no frame is
// missing or damaged and that the DTS of both tracks increases.
func checkPushed(t *testing.T, f *fakeServer) {
	t.Helper()
	for i, c := range f.connections() {
		tally := gen.NewTally()
		seen := map[packetbuf.Track]bool{}
		for _, p := range c.packets {
			if p.Kind == packetbuf.Config {
				continue
			}
			if p.Track == packetbuf.Video && !seen[packetbuf.Video] && p.Kind != packetbuf.Key {
				t.Errorf("%s, connection %d: got %v first, want a keyframe", f.addr, i, p.Kind)
			}
			seen[p.Track] = true
			if p.Media() && p.Flags&packetbuf.Filler == 0 {
				if err := tally.Add(p); err != nil {
					t.Errorf("%s, connection %d: %v", f.addr, i, err)
				}
			}
		}
		for tr := range seen {
			if lost := tally.Lost(tr, 0); len(lost) > 0 {
				t.Errorf("%s, connection %d: got %d %v frames missing, the first %d", f.addr, i, len(lost), tr, lost[0])
			}
		}
	}
}

func TestFlappingRouteIsAvoided(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a, b := w.destination("a:1935"), w.destination("b:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		time.Sleep(10 * time.Second)
		for range 10 {
			a.kill()
			time.Sleep(5 * time.Second)
			a.start()
			time.Sleep(5 * time.Second)
			if !a.receiving() && !b.receiving() {
				t.Error("neither route receives")
			}
		}
		if n := w.switches(); n > 3 {
			t.Errorf("got %d switches, want at most 3: %q", n, w.eventsOf(Switched))
		}
	}, pushGroup(func(g *Group) { g.Rise, g.Probe = 2*time.Second, time.Second }, "a:1935", "b:1935"))
}

// TestBlackHoleIsDetected uses a line that carries nothing and reports no error. The in-memory network has
// no TCP acknowledgements.
func TestBlackHoleIsDetected(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a, b := w.destination("a:1935"), w.destination("b:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		time.Sleep(20 * time.Second)
		w.net.Wire(0).Do(faultnet.Hang, faultnet.Both)
		began := time.Now()
		w.waitFor("a break", 10*time.Second, func() bool { return len(w.eventsOf(Broke)) > 0 })
		// Without acknowledgements the buffers must fill up first.
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("detected after %v, want at most 4s", took)
		}
		w.waitFor("a or b receives", 5*time.Second, func() bool { return a.receiving() || b.receiving() })
		if got := w.eventsOf(Broke); got[0] != "route_broke a stall" {
			t.Errorf("got breaks %q, want the first for a stall", got)
		}
	}, pushGroup(nil, "a:1935", "b:1935"))
}

func TestMissedFramesAreReplayed(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a, b := w.destination("a:1935"), w.destination("b:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		time.Sleep(20 * time.Second)
		for range 2 {
			a.kill()
			w.waitFor("b receives", 5*time.Second, b.receiving)
			time.Sleep(3 * time.Second)
			a.start()
			w.waitFor("a receives", 2*time.Minute, a.receiving)
			time.Sleep(3 * time.Second)
		}
		// Both servers together must have every frame.
		union := map[gen.ID]bool{}
		var last uint64
		for _, f := range []*fakeServer{a, b} {
			for _, c := range f.connections() {
				for _, p := range c.packets {
					if !p.Media() {
						continue
					}
					id, err := gen.Identify(p)
					if err != nil {
						t.Fatal(err)
					}
					union[id] = true
					if id.Track == packetbuf.Video {
						last = max(last, id.Number)
					}
				}
			}
		}
		var missing []uint64
		for n := uint64(0); n <= last; n++ {
			if !union[gen.ID{Track: packetbuf.Video, Number: n}] {
				missing = append(missing, n)
			}
		}
		if len(missing) > 0 {
			t.Errorf("%d of %d video frames reached no server: %d; %q", len(missing), last+1, missing, w.eventsOf(Level, Carries, Broke))
		}
	}, pushGroup(func(g *Group) { g.Missed, g.Rise, g.Probe = true, 5*time.Second, time.Second }, "a:1935", "b:1935"))
}
