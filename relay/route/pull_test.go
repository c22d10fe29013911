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

// viewer reads a stream and checks that it continues.
type viewer struct {
	mu        sync.Mutex
	err       error
	media     int
	lastFrame time.Time // time when the newest frame was read
	dts       map[packetbuf.Track]time.Duration
	maxGap    time.Duration // longest time without a frame
	sources   map[uint32]int
}

// watch attaches a viewer that stays until the test ends.
func (w *testRelay) watch(app, name string) (*viewer, func(), error) {
	r, err := w.hub.Attach(context.Background(), app, name, "httpflv")
	if err != nil {
		return nil, nil, err
	}
	v := &viewer{dts: map[packetbuf.Track]time.Duration{}, sources: map[uint32]int{}, lastFrame: time.Now()}
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
				v.receive(p)
			}
		}
	})
	leave := sync.OnceFunc(func() { cancel(); work.Wait() })
	w.cleanups = append(w.cleanups, leave)
	return v, leave, nil
}

func (v *viewer) receive(p *packetbuf.Packet) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !p.Media() {
		return
	}
	if had, ok := v.dts[p.Track]; ok && p.DTS <= had {
		v.err = errors.New("DTS does not increase")
	}
	v.dts[p.Track] = p.DTS
	v.media++
	v.maxGap = max(v.maxGap, time.Since(v.lastFrame))
	v.lastFrame = time.Now()
	if id, err := gen.Identify(p); err == nil && p.Flags&packetbuf.Filler == 0 {
		v.sources[id.Source]++
	}
}

func (v *viewer) framesFrom(source uint32) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sources[source]
}

func (v *viewer) check(t *testing.T) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err != nil {
		t.Errorf("viewer: %v", v.err)
	}
	if v.maxGap > 1500*time.Millisecond {
		t.Errorf("got %v without a frame, want at most 1.5s", v.maxGap)
	}
}

func TestPullOnDemandStartsAndStops(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.origin("a:1935")
		w.publish(a, "cam/one", gen.Options{Source: 1})
		time.Sleep(5 * time.Second)
		if n := w.dialCount("a:1935", time.Time{}); n != 0 {
			t.Fatalf("got %d dials before the first viewer, want 0", n)
		}
		began := time.Now()
		v, leave, err := w.watch("cam", "one")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the viewer waited %v, want at most 1s", took)
		}
		time.Sleep(20 * time.Second)
		v.check(t)
		leave()
		time.Sleep(30 * time.Second)
		if s := w.hub.Find("cam/one"); s != nil {
			t.Errorf("got the stream in state %v, want none", s.State())
		}
		if n := len(w.routes.Status(time.Now(), false)); n != 0 {
			t.Errorf("got %d runners, want 0", n)
		}
	}, pullGroup(nil, "a:1935"))
}

func TestPullOfUnknownStreamFailsFast(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		w.origin("a:1935")
		began := time.Now()
		_, _, err := w.watch("cam", "none")
		var r *ingest.Refusal
		if !errors.As(err, &r) || !r.NotLive {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the error took %v, want at most 2s", took)
		}
	}, pullGroup(nil, "a:1935", "b:1935"))
}

func TestOriginFailureIsHiddenFromViewers(t *testing.T) {
	for name, breaks := range map[string]func(w *testRelay, a *fakeServer){
		"killed": func(_ *testRelay, a *fakeServer) { a.kill() },
		"hung":   func(w *testRelay, _ *fakeServer) { w.net.Do(faultnet.Hang, faultnet.Both) },
	} {
		t.Run(name, func(t *testing.T) {
			withRelay(t, func(w *testRelay) {
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
				time.Sleep(100 * time.Millisecond) // packets in flight
				before := v.framesFrom(1)
				w.waitFor("frames of a or b", 10*time.Second, func() bool { return v.framesFrom(1) > before || v.framesFrom(2) > 0 })
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("frames continued after %v, want at most 5s", took)
				}
				time.Sleep(5 * time.Second)
				v.check(t)
			}, pullGroup(nil, "a:1935", "b:1935"))
		})
	}
}

// TestPullReturnsWithoutGap checks that a preferred origin that is up again replaces the other without a
// gap: its connection is ready before the other ends.
func TestPullReturnsWithoutGap(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a, b := w.origin("a:1935"), w.origin("b:1935")
		w.publish(b, "cam/one", gen.Options{Source: 2})
		a.kill()
		v, _, err := w.watch("cam", "one")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		a.start()
		w.publish(a, "cam/one", gen.Options{Source: 1})
		w.waitFor("frames of a", 2*time.Minute, func() bool { return v.framesFrom(1) > 0 })
		began := time.Now()
		synctest.Wait()
		if state := w.hub.Find("cam/one").State(); state != lifecycle.Live {
			t.Errorf("got state %v, want live", state)
		}
		time.Sleep(5 * time.Second)
		v.check(t)
		if v.maxGap > 200*time.Millisecond || time.Since(began) < 5*time.Second {
			t.Errorf("got %v without a frame, want at most 200ms", v.maxGap)
		}
	}, pullGroup(nil, "a:1935", "b:1935"))
}

// TestPullWithoutDemand checks that a pull that is not on demand starts at once and reconnects.
func TestPullWithoutDemand(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.origin("a:1935")
		w.publish(a, "cam/one", gen.Options{Source: 1})
		live := func() bool {
			s := w.hub.Find("cam/one")
			return s != nil && s.State() == lifecycle.Live
		}
		w.waitFor("live", 5*time.Second, live)
		v, _, err := w.watch("cam", "one")
		if err != nil {
			t.Fatal(err)
		}
		a.kill()
		time.Sleep(8 * time.Second)
		a.start()
		w.waitFor("live again", 30*time.Second, live)
		time.Sleep(2 * time.Second)
		v.check(t)
	}, pullGroup(func(g *Group) { g.OnDemand, g.Match = false, "cam/one" }, "a:1935"))
}

// TestPullYieldsToPublisher checks that the stream belongs to a local publisher while the pull waits.
func TestPullYieldsToPublisher(t *testing.T) {
	withRelay(t, func(w *testRelay) {
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
		if v.framesFrom(9) == 0 {
			t.Error("got no frame of the publisher")
		}
	}, pullGroup(func(g *Group) { g.OnDemand, g.Match = false, "cam/one" }, "a:1935"))
}

// TestSilentNamesDoNotDelayViewers checks that names which an origin accepts without sending media do not
// delay other dials to that host.
func TestSilentNamesDoNotDelayViewers(t *testing.T) {
	withRelay(t, func(w *testRelay) {
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
			t.Errorf("the viewer waited %v, want at most 1s", took)
		}
		time.Sleep(2 * time.Second)
		v.check(t)
	}, pullGroup(nil, "a:1935"))
}
