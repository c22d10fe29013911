package route

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A host that is dead is dialled as often as the breaker says, however many streams want it,
// and its return is not met by all of them at once.
func TestManyRoutesToOneDeadHost(t *testing.T) {
	inWorld(t, func(w *world) {
		const streams = 50
		for i := range streams {
			w.publish(w.hub, fmt.Sprintf("live/cam%d", i), gen.Options{GOP: 30, FPS: 2, NoAudio: true, VideoBitrate: 10000})
		}
		time.Sleep(time.Minute)
		since := time.Now()
		time.Sleep(2 * time.Minute)
		perMinute := float64(w.dialled("a:1935", since)) / 2
		if budget := float64(time.Minute / policy.DefaultBreaker().Every); perMinute > budget+1 || perMinute < budget/2 {
			t.Errorf("%.1f dials a minute, the budget is %.1f", perMinute, budget)
		}
		a := w.far("a:1935")
		w.wait("all are carried", 2*time.Minute, func() bool { return len(a.connections()) == streams })
		if n := len(w.happened(Broke)); n > 0 {
			t.Errorf("%d broke", n)
		}
		breaker := w.routes.Breakers(time.Now())[0]
		if breaker.Host != "a:1935" || breaker.State != policy.Closed {
			t.Errorf("%+v", breaker)
		}
	}, pushes(nil, "a:1935"))
}

// Nothing that is told holds the key that stands in the routes' URLs.
func TestKeysAreNotShown(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.far("a:1935")
		a.deny = "the key sample-secret is wrong"
		w.publish(w.hub, "live/cam", gen.Options{})
		time.Sleep(5 * time.Second)
		b := w.origin("b:1935")
		_ = b
		_, _, _ = w.watch("cam", "none")
		all := fmt.Sprintf("%+v %+v", w.routes.Status(time.Now(), true), w.routes.Breakers(time.Now()))
		history, err := w.routes.Histories()
		if err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		all += fmt.Sprintf("%+v", w.events) + string(history)
		w.mu.Unlock()
		if i := strings.Index(all, "sample-secret"); i >= 0 {
			t.Errorf("…%s…", all[max(0, i-200):i+50])
		}
		if !strings.Contains(all, "denied") {
			t.Errorf("the denial is not told: %s", all)
		}
	}, pushes(nil, "a:1935"), pulls(nil, "b:1935"))
}

func TestOperatorForcesAndResets(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.far("a:1935"), w.far("b:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		time.Sleep(5 * time.Second)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		must(w.routes.Force("cdn", "live/cam", "b"))
		w.wait("b receives", time.Second, b.receiving)
		time.Sleep(2 * time.Minute)
		if !b.receiving() || a.receiving() {
			t.Error("b was left though it is forced")
		}
		must(w.routes.Force("cdn", "live/cam", ""))
		w.wait("a receives", time.Minute, a.receiving)
		must(w.routes.ForceRung("cdn", "live/cam", "audio"))
		time.Sleep(5 * time.Second)
		c := a.connections()
		recent := c[len(c)-1].packets
		for _, p := range recent[len(recent)-50:] {
			if p.Track.String() == "video" && p.Media() {
				t.Fatal("pictures are sent at the rung audio")
			}
		}
		if s := w.routes.Status(time.Now(), false)[0]; s.Forced != "audio" || s.Rung != policy.Audio || s.Level != 5 {
			t.Errorf("%+v", s)
		}
		must(w.routes.ForceRung("cdn", "live/cam", ""))
		w.wait("all is sent again", 30*time.Second, func() bool { return w.routes.Status(time.Now(), false)[0].Rung == policy.Full })
		for _, err := range []error{
			w.routes.Force("cdn", "live/none", "a"), w.routes.Force("cdn", "live/cam", "z"), w.routes.Force("none", "live/cam", "a"),
			w.routes.ForceRung("cdn", "live/cam", "half"), w.routes.Reset("cdn", "live/cam", "z"), w.routes.ResetBreaker("z:1"),
		} {
			if err == nil {
				t.Error("what is not there was found")
			}
		}
		must(w.routes.ResetBreaker("a:1935"))
	}, pushes(nil, "a:1935", "b:1935"))
}

// A reset has a route that was given up dialled at once.
func TestGivenUpRouteComesBackByReset(t *testing.T) {
	inWorld(t, func(w *world) {
		w.publish(w.hub, "live/cam", gen.Options{})
		time.Sleep(time.Minute)
		a := w.far("a:1935")
		time.Sleep(time.Minute)
		if a.receiving() {
			t.Fatal("it was not given up")
		}
		if err := w.routes.Reset("cdn", "live/cam", "a"); err != nil {
			t.Fatal(err)
		}
		w.wait("a receives", 10*time.Second, a.receiving)
	}, pushes(func(g *Group) { g.GiveUp = 3 }, "a:1935"))
}

// A reload leaves alone what did not change.
func TestReload(t *testing.T) {
	first, second := pushes(nil, "a:1935"), pushes(func(g *Group) { g.Name = "other" }, "b:1935")
	inWorld(t, func(w *world) {
		a, b, c := w.far("a:1935"), w.far("b:1935"), w.far("c:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.publish(w.hub, "live/cam~small", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		w.routes.Reload([]Group{first, second}, policy.DefaultBreaker())
		w.wait("b receives", time.Second, b.receiving)
		if n := len(a.connections()); n != 1 {
			t.Errorf("%d connections to a", n)
		}
		changed := first
		changed.Routes = []Route{{Name: "a", URL: "rtmp://c:1935/far/{name}"}}
		w.routes.Reload([]Group{changed}, policy.DefaultBreaker())
		w.wait("c receives", 5*time.Second, c.receiving)
		time.Sleep(2 * time.Second)
		if a.receiving() || b.receiving() {
			t.Error("what is not configured any more goes on")
		}
		for _, f := range []*farSide{a, b} {
			if ended := f.connections()[0].ended; ended != "unpublish" {
				t.Errorf("%s was left by %q", f.addr, ended)
			}
		}
		for _, f := range []*farSide{a, b, c} {
			for _, g := range f.connections() {
				if strings.Contains(g.name, "~") {
					t.Errorf("%s was pushed to %s", g.name, f.addr)
				}
			}
		}
	}, first)
}

// A stream that ends is unpublished at the far side; one that comes again is pushed again.
func TestPushEndsWithItsStream(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.far("a:1935")
		stop := w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		stop()
		w.wait("the runner ends", 20*time.Second, func() bool { return len(w.routes.Status(time.Now(), false)) == 0 })
		if c := a.connections(); len(c) != 1 || c[0].ended != "unpublish" {
			t.Errorf("%d connections, left by %q", len(c), c[0].ended)
		}
		w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives again", 2*time.Second, a.receiving)
	}, pushes(nil, "a:1935"))
}

// Anybody may ask for any name: who asks for many that no origin has costs so many dials and
// no more.
func TestManyNamesThatNoOriginHas(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.origin("a:1935")
		w.publish(a, "cam/one", gen.Options{Source: 1})
		if w.routes.Brings("live/one") || !w.routes.Brings("cam/none0") {
			t.Error("it is not known what is brought")
		}
		for i := range 3 * maxUnreached {
			w.routes.Want(fmt.Sprintf("cam/none%d", i))
		}
		if w.routes.Brings("cam/another") || !w.routes.Brings("cam/none0") {
			t.Error("more would be brought than may be in vain, or less")
		}
		if n := len(w.routes.Status(time.Now(), false)); n != maxUnreached {
			t.Errorf("%d pulls", n)
		}
		time.Sleep(30 * time.Second)
		if n := len(w.routes.Status(time.Now(), false)); n != 0 {
			t.Errorf("%d pulls are left", n)
		}
		v, _, err := w.watch("cam", "one")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		v.check(t)
	}, pulls(nil, "a:1935"))
}

// A stream that an origin has is brought in though made-up names have all places, and one that no
// origin had is not asked for again at once.
func TestARealStreamAmongManyNamesThatNoOriginHas(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.origin("a:1935")
		w.publish(a, "cam/one", gen.Options{Source: 1})
		ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // of the bubble
		var waiting sync.WaitGroup
		for i := range 3 * maxUnreached {
			waiting.Go(func() {
				if _, err := w.hub.Attach(ctx, "cam", fmt.Sprintf("none%d", i), "httpflv"); err == nil {
					t.Error("a stream that is not there is played")
				}
			})
		}
		time.Sleep(reachTimeout)
		v, _, err := w.watch("cam", "one")
		if err != nil {
			t.Fatal("a real stream is not brought in: ", err)
		}
		time.Sleep(2 * time.Second)
		v.check(t)
		cancel()
		waiting.Wait()
		time.Sleep(1500 * time.Millisecond)
		if n := len(w.routes.Status(time.Now(), false)); n > 2 {
			t.Errorf("%d pulls are left when nobody waits, want that of the real stream", n)
		}
	}, pulls(nil, "a:1935"))
}

// A push whose URL leads back to the relay is known by where it comes from.
func TestPushToItselfIsKnown(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.far("a:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		c := a.connections()[0]
		if c.ours != "live/cam" {
			t.Errorf("%q is pushed from %s", c.ours, c.remote)
		}
		for _, remote := range []string{"elsewhere:1", c.remote} { // who comes from there now is a publisher
			if got := w.routes.Pushes(remote); got != "" {
				t.Errorf("%q is pushed from %s", got, remote)
			}
		}
	}, pushes(nil, "a:1935"))
}
