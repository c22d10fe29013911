package route

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

func TestPushFailsOverAndReturns(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.far("a:1935"), w.far("b:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		time.Sleep(20 * time.Second) // b is known to live
		a.down()
		if took := w.wait("b receives", 10*time.Second, b.receiving); took > 3*time.Second {
			t.Errorf("b receives after %v", took)
		}
		a.up()
		back := w.wait("a receives again", time.Minute, a.receiving)
		if back < 29*time.Second || back > 40*time.Second {
			t.Errorf("a receives again after %v", back)
		}
		time.Sleep(2 * time.Second)
		if b.receiving() {
			t.Error("b goes on receiving")
		}
		if n := w.switches(); n != 2 {
			t.Errorf("%d switches: %q", n, w.happened(Switched, Decided))
		}
		checkPushed(t, a)
		checkPushed(t, b)
		if c := b.connections(); c[len(c)-1].ended != "unpublish" {
			t.Errorf("b was left by %q", c[len(c)-1].ended)
		}
	}, pushes(nil, "a:1935", "b:1935"))
}

// checkPushed checks each connection: it begins with configuration and a keyframe, no frame
// is missing or harmed, and both tracks rise.
func checkPushed(t *testing.T, f *farSide) {
	t.Helper()
	for i, c := range f.connections() {
		tally := gen.NewTally()
		seen := map[packetbuf.Track]bool{}
		for _, p := range c.packets {
			if p.Kind == packetbuf.Config {
				continue
			}
			if p.Track == packetbuf.Video && !seen[packetbuf.Video] && p.Kind != packetbuf.Key {
				t.Errorf("%s, connection %d begins with a %v", f.addr, i, p.Kind)
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
				t.Errorf("%s, connection %d: %d frames of %v missing, the first %d", f.addr, i, len(lost), tr, lost[0])
			}
		}
	}
}

func TestFlappingRouteIsLeftAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.far("a:1935"), w.far("b:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		time.Sleep(10 * time.Second)
		for range 10 {
			a.down()
			time.Sleep(5 * time.Second)
			a.up()
			time.Sleep(5 * time.Second)
			if !a.receiving() && !b.receiving() {
				t.Error("nobody receives")
			}
		}
		if n := w.switches(); n > 3 {
			t.Errorf("%d switches: %q", n, w.happened(Switched))
		}
	}, pushes(func(g *Group) { g.Rise, g.Probe = 2*time.Second, time.Second }, "a:1935", "b:1935"))
}

// A black hole takes nothing and says nothing. In memory there is no TCP that tells.
func TestBlackHoleIsNoticed(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.far("a:1935"), w.far("b:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		time.Sleep(20 * time.Second)
		w.net.Wire(0).Do(faultnet.Hang, faultnet.Both)
		began := time.Now()
		w.wait("noticed", 10*time.Second, func() bool { return len(w.happened(Broke)) > 0 })
		// Without TCP's word it takes until the buffers are full.
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("noticed after %v", took)
		}
		w.wait("somebody receives", 5*time.Second, func() bool { return a.receiving() || b.receiving() })
		if got := w.happened(Broke); got[0] != "route_broke a stall" {
			t.Errorf("%q", got)
		}
	}, pushes(nil, "a:1935", "b:1935"))
}

func TestMissedFramesAreSentAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.far("a:1935"), w.far("b:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		time.Sleep(20 * time.Second)
		for range 2 {
			a.down()
			w.wait("b receives", 5*time.Second, b.receiving)
			time.Sleep(3 * time.Second)
			a.up()
			w.wait("a receives", 2*time.Minute, a.receiving)
			time.Sleep(3 * time.Second)
		}
		// What both got together has every frame.
		union := map[gen.ID]bool{}
		var last uint64
		for _, f := range []*farSide{a, b} {
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
			t.Errorf("%d of %d pictures are nowhere: %d; %q", len(missing), last+1, missing, w.happened(Level, Carries, Broke))
		}
	}, pushes(func(g *Group) { g.Missed, g.Rise, g.Probe = true, 5*time.Second, time.Second }, "a:1935", "b:1935"))
}
