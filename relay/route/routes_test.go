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

// TestManyRoutesToDeadHost checks that a dead host is dialed at the rate of the breaker, however many
// streams use it, and that all streams return when the host does.
func TestManyRoutesToDeadHost(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		const streams = 50
		for i := range streams {
			w.publish(w.hub, fmt.Sprintf("live/cam%d", i), gen.Options{GOP: 30, FPS: 2, NoAudio: true, VideoBitrate: 10000})
		}
		time.Sleep(time.Minute)
		since := time.Now()
		time.Sleep(2 * time.Minute)
		perMinute := float64(w.dialCount("a:1935", since)) / 2
		if budget := float64(time.Minute / policy.DefaultBreaker().Every); perMinute > budget+1 || perMinute < budget/2 {
			t.Errorf("got %.1f dials a minute, want at most %.1f", perMinute, budget)
		}
		a := w.destination("a:1935")
		w.waitFor("all streams pushed", 2*time.Minute, func() bool { return len(a.connections()) == streams })
		if n := len(w.eventsOf(Broke)); n > 0 {
			t.Errorf("got %d breaks, want 0", n)
		}
		breaker := w.routes.Breakers(time.Now())[0]
		if breaker.Host != "a:1935" || breaker.State != policy.Closed {
			t.Errorf("got breaker %+v, want closed", breaker)
		}
	}, pushGroup(nil, "a:1935"))
}

// TestKeysAreNotShown checks that no status, event or history contains the stream key of a route's URL.
func TestKeysAreNotShown(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.destination("a:1935")
		a.denyReason = "the key sample-secret is wrong"
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
			t.Errorf("got the key in …%s…", all[max(0, i-200):i+50])
		}
		if !strings.Contains(all, "denied") {
			t.Errorf("got no denial: %s", all)
		}
	}, pushGroup(nil, "a:1935"), pullGroup(nil, "b:1935"))
}

func TestOperatorForcesAndResets(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a, b := w.destination("a:1935"), w.destination("b:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		time.Sleep(5 * time.Second)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		must(w.routes.Force("cdn", "live/cam", "b"))
		w.waitFor("b receives", time.Second, b.receiving)
		time.Sleep(2 * time.Minute)
		if !b.receiving() || a.receiving() {
			t.Error("got a switch away from the forced route b")
		}
		must(w.routes.Force("cdn", "live/cam", ""))
		w.waitFor("a receives", time.Minute, a.receiving)
		must(w.routes.ForceRung("cdn", "live/cam", "audio"))
		time.Sleep(5 * time.Second)
		c := a.connections()
		recent := c[len(c)-1].packets
		for _, p := range recent[len(recent)-50:] {
			if p.Track.String() == "video" && p.Media() {
				t.Fatal("got a video packet on the rung audio")
			}
		}
		if s := w.routes.Status(time.Now(), false)[0]; s.Forced != "audio" || s.Rung != policy.Audio || s.Level != 5 {
			t.Errorf("got status %+v, want the forced rung audio", s)
		}
		must(w.routes.ForceRung("cdn", "live/cam", ""))
		w.waitFor("the full stream again", 30*time.Second, func() bool { return w.routes.Status(time.Now(), false)[0].Rung == policy.Full })
		for _, err := range []error{
			w.routes.Force("cdn", "live/none", "a"), w.routes.Force("cdn", "live/cam", "z"), w.routes.Force("none", "live/cam", "a"),
			w.routes.ForceRung("cdn", "live/cam", "half"), w.routes.Reset("cdn", "live/cam", "z"), w.routes.ResetBreaker("z:1"),
		} {
			if err == nil {
				t.Error("got nil for an unknown name, want an error")
			}
		}
		must(w.routes.ResetBreaker("a:1935"))
	}, pushGroup(nil, "a:1935", "b:1935"))
}

// TestResetRedialsGivenUpRoute checks that a reset redials a route that was given up.
func TestResetRedialsGivenUpRoute(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		w.publish(w.hub, "live/cam", gen.Options{})
		time.Sleep(time.Minute)
		a := w.destination("a:1935")
		time.Sleep(time.Minute)
		if a.receiving() {
			t.Fatal("got a connection, want the route given up")
		}
		if err := w.routes.Reset("cdn", "live/cam", "a"); err != nil {
			t.Fatal(err)
		}
		w.waitFor("a receives", 10*time.Second, a.receiving)
	}, pushGroup(func(g *Group) { g.GiveUp = 3 }, "a:1935"))
}

// TestReload checks that a reload does not touch routes that did not change.
func TestReload(t *testing.T) {
	first, second := pushGroup(nil, "a:1935"), pushGroup(func(g *Group) { g.Name = "other" }, "b:1935")
	withRelay(t, func(w *testRelay) {
		a, b, c := w.destination("a:1935"), w.destination("b:1935"), w.destination("c:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.publish(w.hub, "live/cam~small", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		w.routes.Reload([]Group{first, second}, policy.DefaultBreaker())
		w.waitFor("b receives", time.Second, b.receiving)
		if n := len(a.connections()); n != 1 {
			t.Errorf("got %d connections to a, want 1", n)
		}
		changed := first
		changed.Routes = []Route{{Name: "a", URL: "rtmp://c:1935/far/{name}"}}
		w.routes.Reload([]Group{changed}, policy.DefaultBreaker())
		w.waitFor("c receives", 5*time.Second, c.receiving)
		time.Sleep(2 * time.Second)
		if a.receiving() || b.receiving() {
			t.Error("got media on a removed route")
		}
		for _, f := range []*fakeServer{a, b} {
			if ended := f.connections()[0].ended; ended != "unpublish" {
				t.Errorf("%s: got end %q, want unpublish", f.addr, ended)
			}
		}
		for _, f := range []*fakeServer{a, b, c} {
			for _, g := range f.connections() {
				if strings.Contains(g.name, "~") {
					t.Errorf("got rendition %s pushed to %s", g.name, f.addr)
				}
			}
		}
	}, first)
}

// TestPushEndsWithStream checks that a push is unpublished when its stream ends, and restarts with the
// stream.
func TestPushEndsWithStream(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.destination("a:1935")
		stop := w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		stop()
		w.waitFor("the runner ends", 20*time.Second, func() bool { return len(w.routes.Status(time.Now(), false)) == 0 })
		if c := a.connections(); len(c) != 1 || c[0].ended != "unpublish" {
			t.Errorf("got %d connections, the first ended by %q, want 1 ended by unpublish", len(c), c[0].ended)
		}
		w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives again", 2*time.Second, a.receiving)
	}, pushGroup(nil, "a:1935"))
}

// TestManyUnknownNames bounds the pulls of names that no origin has, since any client may ask for any
// name.
func TestManyUnknownNames(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.origin("a:1935")
		w.publish(a, "cam/one", gen.Options{Source: 1})
		if w.routes.Brings("live/one") || !w.routes.Brings("cam/none0") {
			t.Error("Brings: got the wrong answer before any demand")
		}
		for i := range 3 * maxUnreached {
			w.routes.Want(fmt.Sprintf("cam/none%d", i))
		}
		if w.routes.Brings("cam/another") || !w.routes.Brings("cam/none0") {
			t.Error("Brings: got the wrong answer with all places taken")
		}
		if n := len(w.routes.Status(time.Now(), false)); n != maxUnreached {
			t.Errorf("got %d pulls, want maxUnreached", n)
		}
		time.Sleep(30 * time.Second)
		if n := len(w.routes.Status(time.Now(), false)); n != 0 {
			t.Errorf("got %d pulls left, want 0", n)
		}
		v, _, err := w.watch("cam", "one")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		v.check(t)
	}, pullGroup(nil, "a:1935"))
}

// TestRealStreamAmongUnknownNames checks that a stream that an origin has is pulled although unknown names
// occupy all places, and that an unknown name is not retried at once.
func TestRealStreamAmongUnknownNames(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.origin("a:1935")
		w.publish(a, "cam/one", gen.Options{Source: 1})
		ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // context of the bubble
		var waiting sync.WaitGroup
		for i := range 3 * maxUnreached {
			waiting.Go(func() {
				if _, err := w.hub.Attach(ctx, "cam", fmt.Sprintf("none%d", i), "httpflv"); err == nil {
					t.Error("got a stream for an unknown name, want an error")
				}
			})
		}
		time.Sleep(reachTimeout)
		v, _, err := w.watch("cam", "one")
		if err != nil {
			t.Fatal("watch cam/one: ", err)
		}
		time.Sleep(2 * time.Second)
		v.check(t)
		cancel()
		waiting.Wait()
		time.Sleep(1500 * time.Millisecond)
		if n := len(w.routes.Status(time.Now(), false)); n > 2 {
			t.Errorf("got %d pulls left without viewers of unknown names, want at most 2", n)
		}
	}, pullGroup(nil, "a:1935"))
}

// TestPushToItselfIsRecognized checks that a push whose URL leads back to the relay is recognized by its
// remote address.
func TestPushToItselfIsRecognized(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.destination("a:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		c := a.connections()[0]
		if c.selfPush != "live/cam" {
			t.Errorf("got stream %q for %s, want live/cam", c.selfPush, c.remote)
		}
		for _, remote := range []string{"elsewhere:1", c.remote} { // the dial has returned, so a connection from c.remote is a publisher
			if got := w.routes.Pushes(remote); got != "" {
				t.Errorf("got stream %q for %s, want none", got, remote)
			}
		}
	}, pushGroup(nil, "a:1935"))
}
