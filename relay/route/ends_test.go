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

// Nobody goes on dialling a dead host for a stream that is over.
func TestRunnerEndsWithItsStreamThoughNothingIsUp(t *testing.T) {
	inWorld(t, func(w *world) {
		stop := w.publish(w.hub, "live/cam", gen.Options{})
		time.Sleep(20 * time.Second)
		stop()
		w.wait("the stream ends", 10*time.Second, func() bool { return w.hub.Find("live/cam") == nil })
		w.wait("the runner ends", 5*time.Second, func() bool { return len(w.routes.Status(time.Now(), false)) == 0 })
	}, pushes(nil, "a:1935"))
}

// The same where the connection breaks while the last of a stream that is over is sent.
func TestRunnerEndsThatBreaksAfterItsStream(t *testing.T) {
	inWorld(t, func(w *world) {
		w.late = 3 * time.Second
		a := w.far("a:1935")
		stop := w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		time.Sleep(5 * time.Second)
		stop()
		w.wait("the stream ends", 10*time.Second, func() bool { return w.hub.Find("live/cam") == nil })
		a.down()
		w.wait("the runner ends", 10*time.Second, func() bool { return len(w.routes.Status(time.Now(), false)) == 0 })
	}, pushes(nil, "a:1935"))
}

// A stream that comes again before the push of the one before has come to its end is pushed.
func TestStreamComesAgainWhileItsPushEnds(t *testing.T) {
	inWorld(t, func(w *world) {
		w.late = 3 * time.Second
		a := w.far("a:1935")
		stop := w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		time.Sleep(5 * time.Second)
		stop()
		w.wait("the stream ends", 10*time.Second, func() bool { return w.hub.Find("live/cam") == nil })
		w.publish(w.hub, "live/cam", gen.Options{Source: 2})
		w.wait("a receives again", 10*time.Second, func() bool { return len(a.connections()) == 2 && a.receiving() })
	}, pushes(nil, "a:1935"))
}

// A reload that brings the first groups finds the streams that are live.
func TestReloadBringsTheFirstGroup(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.far("a:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		time.Sleep(5 * time.Second)
		w.routes.Reload([]Group{pushes(nil, "a:1935")}, policy.DefaultBreaker())
		w.wait("a receives", 2*time.Second, a.receiving)
	})
}

// What a connection missed is not forgotten by one after it that breaks before it has sent.
func TestMissedSurvivesAConnectionThatSentNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.far("a:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		time.Sleep(10 * time.Second)
		w.mu.Lock()
		w.mute = 1
		w.mu.Unlock()
		a.down()
		a.up()
		w.wait("a connection without media", 5*time.Second, func() bool { return len(a.connections()) == 2 })
		a.down()
		time.Sleep(time.Second)
		a.up()
		w.wait("a receives", 10*time.Second, a.receiving)
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
				t.Fatalf("of %d pictures %d are missing, %d for one", last, int(last)-len(seen)+1, n)
			}
		}
	}, pushes(func(g *Group) { g.Missed = true }, "a:1935"))
}

// Where the ladder begins below the whole stream, its top is no fault of the route.
func TestLadderThatBeginsBelowTheWholeStream(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.far("a:1935")
		w.far("b:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		time.Sleep(3 * time.Minute)
		if n := w.switches(); n > 0 {
			t.Errorf("%d switches: %q", n, w.happened(Switched))
		}
		if s := w.routes.Status(time.Now(), true)[0]; s.Connections[0].Score.Value < 0.8 {
			t.Errorf("%+v", s.Connections[0].Score)
		}
	}, pushes(func(g *Group) { g.Ladder = []policy.Place{{Rung: policy.Audio}} }, "a:1935", "b:1935"))
}

// What the ladder leaves out counts in the score that is shown, as it does in the one that
// decides.
func TestScoreIsShownWithTheRung(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.far("a:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		time.Sleep(10 * time.Second)
		for _, run := range w.routes.runners {
			run.mu.Lock()
			run.choice.Step.Rung, run.choice.Step.Rate, run.choice.Step.Level = policy.Audio, 1, 5
			run.core.Scores(time.Now(), run.scores(time.Now()))
			run.mu.Unlock()
		}
		shown, without := w.routes.Status(time.Now(), true)[0], w.routes.Status(time.Now(), false)[0]
		if shown.Connections[0].Score.Value != without.Connections[0].Score.Value {
			t.Errorf("%+v with history, %+v without", shown.Connections[0].Score, without.Connections[0].Score)
		}
		if of, none := w.routes.StatusOf(time.Now(), "live/cam"), w.routes.StatusOf(time.Now(), "live/ca"); len(none) != 0 || len(of) != 1 || of[0].Connections[0].Score.Value != shown.Connections[0].Score.Value {
			t.Errorf("of the stream %+v, of another %+v", of, none)
		}
	}, pushes(nil, "a:1935"))
}

// A change of codecs that no connection survives is over with the GOP that it happens in, also
// where what was missed is sent again: nothing of before is.
func TestCodecChangeWithReplay(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.far("a:1935")
		stop := w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		time.Sleep(10 * time.Second)
		stop()
		w.publish(w.hub, "live/cam", gen.Options{Source: 2, AudioCodec: packetbuf.MP3})
		began := time.Now()
		time.Sleep(15 * time.Second)
		if n := len(w.happened(Broke)); n > 3 {
			t.Errorf("%d breaks: %q", n, w.happened(Dialed, Carries, Broke))
		}
		if !a.receiving() {
			t.Errorf("a does not receive %v after the change", time.Since(began))
		}
	}, pushes(func(g *Group) { g.Missed = true }, "a:1935"))
}

// An origin that has not got what is asked of it and does not say so lives all the same: those
// who ask for the like do not keep others from it.
func TestNamesThatNeverComeDoNotOpenTheBreaker(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.origin("a:1935")
		a.silent = true
		w.publish(a, "cam/one", gen.Options{Source: 1})
		var waiting sync.WaitGroup
		for _, name := range []string{"none1", "none2", "none3", "none4", "none5", "none6", "none7", "none8"} {
			waiting.Go(func() {
				if _, _, err := w.watch("cam", name); err == nil {
					t.Errorf("%s is there", name)
				}
			})
		}
		waiting.Wait()
		time.Sleep(6 * time.Second)
		for _, b := range w.routes.Breakers(time.Now()) {
			if b.State != policy.Closed {
				t.Errorf("%+v", b)
			}
		}
		v, _, err := w.watch("cam", "one")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		v.check(t)
	}, pulls(nil, "a:1935"))
}

// Who ends the routes does not wait long for far sides that hang.
func TestCloseDoesNotWaitForWhoHangs(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.far("a:1935"), w.origin("b:1935")
		w.publish(b, "cam/one", gen.Options{Source: 1})
		w.publish(w.hub, "live/cam", gen.Options{})
		w.publish(w.hub, "live/cam2", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		w.wait("the pull is live", 5*time.Second, func() bool {
			s := w.hub.Find("cam/one")
			return s != nil && s.State() == lifecycle.Live
		})
		w.net.Do(faultnet.Hang, faultnet.Both)
		time.Sleep(time.Second)
		began := time.Now()
		w.routes.Close(context.Background())
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("it took %v", took)
		}
		w.routes.Close(context.Background())
	}, pushes(nil, "a:1935"), pulls(func(g *Group) { g.OnDemand, g.Match = false, "cam/one" }, "b:1935"))
}

// A pull that ends with the relay is no unpublish of its stream.
func TestPullsEndAsAShutdown(t *testing.T) {
	inWorld(t, func(w *world) {
		origin := w.origin("b:1935")
		w.publish(origin, "cam/one", gen.Options{Source: 1})
		live := func() bool {
			s := w.hub.Find("cam/one")
			return s != nil && s.State() == lifecycle.Live
		}
		w.wait("the pull is live", 5*time.Second, live)
		s := w.hub.Find("cam/one")
		w.routes.Close(context.Background())
		got := s.Snapshot(time.Now()).Breaks
		if want := map[ingest.Cause]int{ingest.Shutdown: 1}; !maps.Equal(got, want) {
			t.Errorf("got the breaks %v, want %v", got, want)
		}
	}, pulls(func(g *Group) { g.OnDemand, g.Match = false, "cam/one" }, "b:1935"))
}

// A viewer is told soon that the relay does not take the stream that was brought in for it.
func TestPullThatIsRefusedIsHopeless(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.origin("a:1935")
		w.publish(a, "cam/one", gen.Options{Source: 1})
		w.publish(w.hub, "other/cam", gen.Options{})
		w.hub.Reload(1) // and that is one
		began := time.Now()
		if _, _, err := w.watch("cam", "one"); err == nil {
			t.Fatal("it is there")
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
	}, pulls(nil, "a:1935"))
}

// Who ends the routes may have less time than a far side is given.
func TestCloseHurries(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.far("a:1935")
		w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
		w.net.Do(faultnet.Hang, faultnet.Both)
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		began := time.Now()
		w.routes.Close(ctx)
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
	}, pushes(nil, "a:1935"))
}

// A reload that changes where a stream is pulled from throws nobody out, also where a stream
// that is unpublished ends at once.
func TestReloadOfAPullKeepsItsViewers(t *testing.T) {
	group := pulls(nil, "a:1935")
	inWorld(t, func(w *world) {
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
		w.routes.Reload([]Group{pulls(nil, "b:1935")}, policy.DefaultBreaker())
		w.wait("b is seen", 5*time.Second, func() bool { return v.from(2) > 0 })
		v.check(t)
	}, group)
}

// What a publisher was asked for says nothing to the publisher of a stream that comes after.
func TestCeilingEndsWithItsStream(t *testing.T) {
	inWorld(t, func(w *world) {
		stop := w.publish(w.hub, "live/cam", gen.Options{})
		time.Sleep(5 * time.Second)
		stop()
		time.Sleep(4 * time.Second)
		w.routes.mu.Lock()
		before := w.routes.ceilings["live/cam"]
		w.routes.mu.Unlock()
		w.wait("the stream ends", 10*time.Second, func() bool { return w.hub.Find("live/cam") == nil })
		w.publish(w.hub, "live/cam", gen.Options{})
		time.Sleep(3 * time.Second)
		w.routes.mu.Lock()
		defer w.routes.mu.Unlock()
		if after := w.routes.ceilings["live/cam"]; before == nil || after == nil || after == before {
			t.Errorf("%p before, %p after", before, after)
		}
	}, pushes(nil, "a:1935"))
}
