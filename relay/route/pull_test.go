package route

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// viewer takes a stream and checks that it goes on.
type viewer struct {
	mu      sync.Mutex
	err     error
	media   int
	last    time.Time // wall clock of the newest frame
	dts     map[packetbuf.Track]time.Duration
	worst   time.Duration // the longest that nothing came
	sources map[uint32]int
}

// watch attaches a viewer that stays until the world ends.
func (w *world) watch(app, name string) (*viewer, func(), error) {
	r, err := w.hub.Attach(context.Background(), app, name, "httpflv")
	if err != nil {
		return nil, nil, err
	}
	v := &viewer{dts: map[packetbuf.Track]time.Duration{}, sources: map[uint32]int{}, last: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		defer r.Close()
		for {
			packets, err := r.Read(ctx)
			if err != nil {
				v.mu.Lock()
				v.err = err
				v.mu.Unlock()
				return
			}
			for _, p := range packets {
				v.take(p)
			}
		}
	})
	leave := sync.OnceFunc(func() { cancel(); work.Wait() })
	w.ends = append(w.ends, leave)
	return v, leave, nil
}

func (v *viewer) take(p *packetbuf.Packet) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !p.Media() {
		return
	}
	if had, ok := v.dts[p.Track]; ok && p.DTS <= had {
		v.err = errors.New("a track steps back")
	}
	v.dts[p.Track] = p.DTS
	v.media++
	v.worst = max(v.worst, time.Since(v.last))
	v.last = time.Now()
	if id, err := gen.Identify(p); err == nil && p.Flags&packetbuf.Filler == 0 {
		v.sources[id.Source]++
	}
}

func (v *viewer) from(source uint32) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sources[source]
}

func (v *viewer) check(t *testing.T) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err != nil {
		t.Errorf("the viewer: %v", v.err)
	}
	if v.worst > 1500*time.Millisecond {
		t.Errorf("nothing came for %v", v.worst)
	}
}

func TestPullOnDemandComesAndGoes(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.origin("a:1935")
		w.publish(a, "cam/one", gen.Options{Source: 1})
		time.Sleep(5 * time.Second)
		if n := w.dialled("a:1935", time.Time{}); n != 0 {
			t.Fatalf("%d dials before anybody asked", n)
		}
		began := time.Now()
		v, leave, err := w.watch("cam", "one")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the viewer waited %v", took)
		}
		time.Sleep(20 * time.Second)
		v.check(t)
		leave()
		time.Sleep(30 * time.Second)
		if s := w.hub.Find("cam/one"); s != nil {
			t.Errorf("%v is still there", s.State())
		}
		if n := len(w.routes.Status(time.Now(), false)); n != 0 {
			t.Errorf("%d runners are still there", n)
		}
	}, pulls(nil, "a:1935"))
}

func TestPullOfWhatIsNotThereIsRefusedSoon(t *testing.T) {
	inWorld(t, func(w *world) {
		w.origin("a:1935")
		began := time.Now()
		_, _, err := w.watch("cam", "none")
		var r *ingest.Refusal
		if !errors.As(err, &r) || !r.NotLive {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the viewer waited %v to be told", took)
		}
	}, pulls(nil, "a:1935", "b:1935"))
}

func TestViewersDoNotNoticeThatAnOriginDies(t *testing.T) {
	for name, breaks := range map[string]func(w *world, a *farSide){
		"killed": func(_ *world, a *farSide) { a.down() },
		"hung":   func(w *world, _ *farSide) { w.net.Do(faultnet.Hang, faultnet.Both) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				a, b := w.origin("a:1935"), w.origin("b:1935")
				w.publish(a, "cam/one", gen.Options{Source: 1})
				w.publish(b, "cam/one", gen.Options{Source: 2})
				v, _, err := w.watch("cam", "one")
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				breaks(w, a)
				began := time.Now()
				time.Sleep(100 * time.Millisecond) // what is under way
				before := v.from(1)
				w.wait("one of them is seen", 10*time.Second, func() bool { return v.from(1) > before || v.from(2) > 0 })
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("one of them is seen after %v", took)
				}
				time.Sleep(5 * time.Second)
				v.check(t)
			}, pulls(nil, "a:1935", "b:1935"))
		})
	}
}

// A preferred origin that is back takes over without a gap: it is up before the other ends.
func TestPullReturnsWithoutABreak(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.origin("a:1935"), w.origin("b:1935")
		w.publish(b, "cam/one", gen.Options{Source: 2})
		a.down()
		v, _, err := w.watch("cam", "one")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		a.up()
		w.publish(a, "cam/one", gen.Options{Source: 1})
		w.wait("a is seen", 2*time.Minute, func() bool { return v.from(1) > 0 })
		began := time.Now()
		synctest.Wait()
		if state := w.hub.Find("cam/one").State(); state != lifecycle.Live {
			t.Errorf("the stream is %v", state)
		}
		time.Sleep(5 * time.Second)
		v.check(t)
		if v.worst > 200*time.Millisecond || time.Since(began) < 5*time.Second {
			t.Errorf("nothing came for %v", v.worst)
		}
	}, pulls(nil, "a:1935", "b:1935"))
}

// A pull that is not on demand is there from the start, and comes back by itself.
func TestPullThatAlwaysRuns(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.origin("a:1935")
		w.publish(a, "cam/one", gen.Options{Source: 1})
		live := func() bool {
			s := w.hub.Find("cam/one")
			return s != nil && s.State() == lifecycle.Live
		}
		w.wait("live", 5*time.Second, live)
		v, _, err := w.watch("cam", "one")
		if err != nil {
			t.Fatal(err)
		}
		a.down()
		time.Sleep(8 * time.Second)
		a.up()
		w.wait("live again", 30*time.Second, live)
		time.Sleep(2 * time.Second)
		v.check(t)
	}, pulls(func(g *Group) { g.OnDemand, g.Match = false, "cam/one" }, "a:1935"))
}

// Who publishes here has the stream; the pull says why it has not, and waits.
func TestPullYieldsToAPublisher(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.origin("a:1935")
		w.publish(w.hub, "cam/one", gen.Options{Source: 9})
		time.Sleep(2 * time.Second)
		w.publish(a, "cam/one", gen.Options{Source: 1})
		v, _, err := w.watch("cam", "one")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		v.check(t)
		if v.from(9) == 0 {
			t.Error("the publisher was not seen")
		}
	}, pulls(func(g *Group) { g.OnDemand, g.Match = false, "cam/one" }, "a:1935"))
}

// Names for which an origin says yes and sends nothing do not keep others waiting for their
// turn with the host.
func TestMuteNamesKeepNobodyWaiting(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.origin("a:1935")
		w.publish(a, "cam/one", gen.Options{Source: 1})
		for i := range 20 {
			w.routes.Want(fmt.Sprintf("cam/mute%d", i))
		}
		time.Sleep(time.Second)
		began := time.Now()
		v, _, err := w.watch("cam", "one")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the viewer waited %v", took)
		}
		time.Sleep(2 * time.Second)
		v.check(t)
	}, pulls(nil, "a:1935"))
}
