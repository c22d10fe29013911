package route

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestRunnerEndsWithStreamWhileHostIsDown checks that a dead host is not dialed any more once the stream
// has ended.
func TestRunnerEndsWithStreamWhileHostIsDown(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		stop := w.publish(w.hub, "live/cam", gen.Options{})
		time.Sleep(20 * time.Second)
		stop()
		w.waitFor("the stream ends", 10*time.Second, func() bool { return w.hub.Find("live/cam") == nil })
		w.waitFor("the runner ends", 5*time.Second, func() bool { return len(w.routes.Status(time.Now(), false)) == 0 })
	}, pushGroup(nil, "a:1935"))
}

// TestRunnerEndsWhenPushBreaksAfterStream breaks the connection while the last packets of an ended stream
// are being sent.
func TestRunnerEndsWhenPushBreaksAfterStream(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		w.endDelay = 3 * time.Second
		a := w.destination("a:1935")
		stop := w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		time.Sleep(5 * time.Second)
		stop()
		w.waitFor("the stream ends", 10*time.Second, func() bool { return w.hub.Find("live/cam") == nil })
		a.kill()
		w.waitFor("the runner ends", 10*time.Second, func() bool { return len(w.routes.Status(time.Now(), false)) == 0 })
	}, pushGroup(nil, "a:1935"))
}

// TestStreamReturnsWhilePushEnds checks that a stream is pushed that is published again before the
// previous push has ended.
func TestStreamReturnsWhilePushEnds(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		w.endDelay = 3 * time.Second
		a := w.destination("a:1935")
		stop := w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		time.Sleep(5 * time.Second)
		stop()
		w.waitFor("the stream ends", 10*time.Second, func() bool { return w.hub.Find("live/cam") == nil })
		w.publish(w.hub, "live/cam", gen.Options{Source: 2})
		w.waitFor("a receives again", 10*time.Second, func() bool { return len(a.connections()) == 2 && a.receiving() })
	}, pushGroup(nil, "a:1935"))
}

// TestReloadOfFirstGroup checks that a reload that adds the first group applies to live streams.
func TestReloadOfFirstGroup(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.destination("a:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		time.Sleep(5 * time.Second)
		w.routes.Reload([]Group{pushGroup(nil, "a:1935")}, policy.DefaultBreaker())
		w.waitFor("a receives", 2*time.Second, a.receiving)
	})
}

// TestMissedSurvivesConnectionWithoutMedia checks that packets that a connection missed are still replayed
// after another connection that broke before it sent anything.
func TestMissedSurvivesConnectionWithoutMedia(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.destination("a:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		time.Sleep(10 * time.Second)
		w.mu.Lock()
		w.silentTaps = 1
		w.mu.Unlock()
		a.kill()
		a.start()
		w.waitFor("a connection without media", 5*time.Second, func() bool { return len(a.connections()) == 2 })
		a.kill()
		time.Sleep(time.Second)
		a.start()
		w.waitFor("a receives", 10*time.Second, a.receiving)
		time.Sleep(5 * time.Second)
		seen := map[uint64]bool{}
		last := uint64(0)
		for _, c := range a.connections() {
			for _, p := range c.packets {
				if id, err := gen.Identify(p); err == nil && p.Media() && id.Track == packetbuf.Video {
					seen[id.Number] = true
					last = max(last, id.Number)
				}
			}
		}
		for n := range last {
			if !seen[n] {
				t.Fatalf("of %d video frames %d are missing, for example %d", last, int(last)-len(seen)+1, n)
			}
		}
	}, pushGroup(func(g *Group) { g.Missed = true }, "a:1935"))
}

// TestLadderBelowFullStream checks that a ladder whose top is below the whole stream does not lower the
// score of the route.
func TestLadderBelowFullStream(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.destination("a:1935")
		w.destination("b:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		time.Sleep(3 * time.Minute)
		if n := w.switches(); n > 0 {
			t.Errorf("got %d switches, want 0: %q", n, w.eventsOf(Switched))
		}
		if s := w.routes.Status(time.Now(), true)[0]; s.Connections[0].Score.Value < 0.8 {
			t.Errorf("got score %+v, want at least 0.8", s.Connections[0].Score)
		}
	}, pushGroup(func(g *Group) { g.Ladder = []policy.Place{{Rung: policy.Audio}} }, "a:1935", "b:1935"))
}

// TestStatusScoreIncludesRung checks that the score shown includes what the ladder drops, as the one that
// decides does.
func TestStatusScoreIncludesRung(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.destination("a:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		time.Sleep(10 * time.Second)
		for _, run := range w.routes.runners {
			run.mu.Lock()
			run.choice.Step.Rung, run.choice.Step.Rate, run.choice.Step.Level = policy.Audio, 1, 5
			run.core.Scores(time.Now(), run.scores(time.Now()))
			run.mu.Unlock()
		}
		shown, without := w.routes.Status(time.Now(), true)[0], w.routes.Status(time.Now(), false)[0]
		if shown.Connections[0].Score.Value != without.Connections[0].Score.Value {
			t.Errorf("got score %+v with history and %+v without, want them equal", shown.Connections[0].Score, without.Connections[0].Score)
		}
		if of, none := w.routes.StatusOf(time.Now(), "live/cam"), w.routes.StatusOf(time.Now(), "live/ca"); len(none) != 0 || len(of) != 1 || of[0].Connections[0].Score.Value != shown.Connections[0].Score.Value {
			t.Errorf("got status %+v for the stream and %+v for another, want one and none", of, none)
		}
	}, pushGroup(nil, "a:1935"))
}

// TestCodecChangeWithReplay changes codecs, which requires a new connection. The change must not take
// longer than the GOP in which it happens, also if missed packets are replayed: none from before the
// change may be.
func TestCodecChangeWithReplay(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.destination("a:1935")
		stop := w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		time.Sleep(10 * time.Second)
		stop()
		w.publish(w.hub, "live/cam", gen.Options{Source: 2, AudioCodec: packetbuf.MP3})
		began := time.Now()
		time.Sleep(15 * time.Second)
		if n := len(w.eventsOf(Broke)); n > 3 {
			t.Errorf("got %d breaks, want at most 3: %q", n, w.eventsOf(Dialed, Carries, Broke))
		}
		if !a.receiving() {
			t.Errorf("a receives nothing %v after the change", time.Since(began))
		}
	}, pushGroup(func(g *Group) { g.Missed = true }, "a:1935"))
}

// TestUnknownNamesDoNotOpenBreaker checks an origin that does not answer requests for streams it does not
// have. It is not down: such requests must not keep other viewers from it.
func TestUnknownNamesDoNotOpenBreaker(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.origin("a:1935")
		a.silent = true
		w.publish(a, "cam/one", gen.Options{Source: 1})
		var waiting sync.WaitGroup
		for _, name := range []string{"none1", "none2", "none3", "none4", "none5", "none6", "none7", "none8"} {
			waiting.Go(func() {
				if _, _, err := w.watch("cam", name); err == nil {
					t.Errorf("got stream %s, want an error", name)
				}
			})
		}
		waiting.Wait()
		time.Sleep(6 * time.Second)
		for _, b := range w.routes.Breakers(time.Now()) {
			if b.State != policy.Closed {
				t.Errorf("got breaker %+v, want closed", b)
			}
		}
		v, _, err := w.watch("cam", "one")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		v.check(t)
	}, pullGroup(nil, "a:1935"))
}

// TestCloseDoesNotWaitForHangingServers closes the routes while all servers hang.
func TestCloseDoesNotWaitForHangingServers(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a, b := w.destination("a:1935"), w.origin("b:1935")
		w.publish(b, "cam/one", gen.Options{Source: 1})
		w.publish(w.hub, "live/cam", gen.Options{})
		w.publish(w.hub, "live/cam2", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		w.waitFor("the pull is live", 5*time.Second, func() bool {
			s := w.hub.Find("cam/one")
			return s != nil && s.State() == lifecycle.Live
		})
		w.net.Do(faultnet.Hang, faultnet.Both)
		time.Sleep(time.Second)
		began := time.Now()
		w.routes.Close(context.Background())
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("Close took %v, want at most 4s", took)
		}
		w.routes.Close(context.Background())
	}, pushGroup(nil, "a:1935"), pullGroup(func(g *Group) { g.OnDemand, g.Match = false, "cam/one" }, "b:1935"))
}

// TestCloseEndsPullsAsShutdown checks that a pull that ends with the relay does not count as an unpublish.
func TestCloseEndsPullsAsShutdown(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		origin := w.origin("b:1935")
		w.publish(origin, "cam/one", gen.Options{Source: 1})
		live := func() bool {
			s := w.hub.Find("cam/one")
			return s != nil && s.State() == lifecycle.Live
		}
		w.waitFor("the pull is live", 5*time.Second, live)
		s := w.hub.Find("cam/one")
		w.routes.Close(context.Background())
		got := s.Snapshot(time.Now()).Breaks
		if want := map[ingest.Cause]int{ingest.Shutdown: 1}; !maps.Equal(got, want) {
			t.Errorf("got breaks %v, want %v", got, want)
		}
	}, pullGroup(func(g *Group) { g.OnDemand, g.Match = false, "cam/one" }, "b:1935"))
}

// TestRejectedPullFailsFast checks that a viewer gets an error soon if the relay rejects the stream pulled
// for it.
func TestRejectedPullFailsFast(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.origin("a:1935")
		w.publish(a, "cam/one", gen.Options{Source: 1})
		w.publish(w.hub, "other/cam", gen.Options{})
		w.hub.Reload(1) // at most one stream, and other/cam is one
		began := time.Now()
		if _, _, err := w.watch("cam", "one"); err == nil {
			t.Fatal("got a stream, want an error")
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the error took %v, want at most 3s", took)
		}
	}, pullGroup(nil, "a:1935"))
}

// TestCloseHonorsContext checks that Close ends with its context, even if that is sooner than the timeout
// for servers.
func TestCloseHonorsContext(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.destination("a:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		w.net.Do(faultnet.Hang, faultnet.Both)
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		began := time.Now()
		w.routes.Close(ctx)
		if took := time.Since(began); took > time.Second {
			t.Errorf("Close took %v, want at most 1s", took)
		}
	}, pushGroup(nil, "a:1935"))
}

// TestReloadOfPullKeepsViewers checks that a reload that changes the origin does not disconnect viewers,
// even with a stream that ends at once when unpublished.
func TestReloadOfPullKeepsViewers(t *testing.T) {
	group := pullGroup(nil, "a:1935")
	withRelay(t, func(w *testRelay) {
		a, b := w.origin("a:1935"), w.origin("b:1935")
		w.publish(a, "cam/one", gen.Options{Source: 1})
		w.publish(b, "cam/one", gen.Options{Source: 2})
		v, _, err := w.watch("cam", "one")
		if err != nil {
			t.Fatal(err)
		}
		c := settings{}.Stream("")
		c.HoldUnpublish = 0
		w.hub.Find("cam/one").Configure(c)
		time.Sleep(5 * time.Second)
		w.routes.Reload([]Group{pullGroup(nil, "b:1935")}, policy.DefaultBreaker())
		w.waitFor("frames of b", 5*time.Second, func() bool { return v.framesFrom(2) > 0 })
		v.check(t)
	}, group)
}

// TestCeilingEndsWithStream checks that the bit rate limit of a publisher does not apply to the publisher
// of a later stream.
func TestCeilingEndsWithStream(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		stop := w.publish(w.hub, "live/cam", gen.Options{})
		time.Sleep(5 * time.Second)
		stop()
		time.Sleep(4 * time.Second)
		w.routes.mu.Lock()
		before := w.routes.ceilings["live/cam"]
		w.routes.mu.Unlock()
		w.waitFor("the stream ends", 10*time.Second, func() bool { return w.hub.Find("live/cam") == nil })
		w.publish(w.hub, "live/cam", gen.Options{})
		time.Sleep(3 * time.Second)
		w.routes.mu.Lock()
		defer w.routes.mu.Unlock()
		if after := w.routes.ceilings["live/cam"]; before == nil || after == nil || after == before {
			t.Errorf("got ceiling %p before and %p after, want different ones", before, after)
		}
	}, pushGroup(nil, "a:1935"))
}
