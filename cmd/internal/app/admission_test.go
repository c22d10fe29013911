package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-live/holdfast/cmd/internal/statefile"
	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/resume"
	"github.com/holdfast-live/holdfast/qos/prom"
	"github.com/holdfast-live/holdfast/relay/admission"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/hook"
	"github.com/holdfast-live/holdfast/relay/hub"
	"github.com/holdfast-live/holdfast/relay/stream"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// unobserved ignores events.
type unobserved struct{}

func (unobserved) Observe(stream.Event) {}

// fakeRelay is a relay without sockets, for a bubble. Its fields may be changed before the first
// viewer joins.
type fakeRelay struct {
	settings *settings
	hub      *hub.Hub
	hooks    *hook.Hooks // nil: none are asked
	sealer   *resume.Sealer
	joinRate int

	once      sync.Once // of admission
	admission *admission.Admission
}

func newFakeRelay(t *testing.T, joinRate int) *fakeRelay {
	t.Helper()
	cfg := configs.Default()
	s := &settings{}
	s.cfg.Store(&cfg)
	log := slog.New(slog.DiscardHandler)
	sealer, err := newSealer("", &statefile.File{}, log)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeRelay{settings: s, sealer: sealer, joinRate: joinRate, hub: hub.New(hub.Options{
		Settings: s, Observer: unobserved{}, Counters: &stream.Counters{}, Log: log,
	})}
}

// admits returns the relay's admission.
func (p *fakeRelay) admits() *admission.Admission {
	p.once.Do(func() {
		metrics, err := prom.New(prometheus.NewRegistry(), prom.Labels{})
		if err != nil {
			panic(err)
		}
		o := admission.Options{
			Rules: p.settings, Streams: streams{p.hub, &p.settings.returning}, Publisher: p.hub, Sealer: p.sealer, Metrics: metrics, JoinRate: p.joinRate,
		}
		if p.hooks != nil {
			o.Hooks = hookAccess{p.hooks}
		}
		p.admission = admission.New(o)
	})
	return p.admission
}

// Join implements egress.Admission.
func (p *fakeRelay) Join(ctx context.Context, r egress.Request) (egress.Subscription, egress.Grant, error) {
	return p.admits().Join(ctx, r)
}

// feed publishes a generated stream in real time until ctx is done.
func (p *fakeRelay) feed(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	sink, err := p.hub.Publish(ctx, ingest.Request{App: "live", Name: name, Protocol: ingest.RTMP, Session: fakeSession{}})
	if err != nil {
		t.Error(err)
		return
	}
	began, g := time.Now(), gen.New(gen.Options{})
	for ctx.Err() == nil {
		next := g.Next()
		time.Sleep(time.Until(began.Add(next.DTS)))
		next.Arrived = time.Now()
		if err := sink.Write(next); err != nil {
			t.Error(err)
			return
		}
	}
	sink.End(ingest.Unpublish, "")
}

// back is the result of a returning viewer.
type back struct {
	after   time.Duration
	exact   bool
	retry   time.Duration // the viewer was refused
	err     error
	resumed bool
}

// A thousand viewers lose their connections at once, and two thousand new ones join at the same
// time. Those who resume are back within two seconds, without a gap. New ones get the remaining
// capacity or are told when to retry, at different times. Viewers of other streams notice
// nothing.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crowd, rate = 1000, 500
		p := newFakeRelay(t, rate)
		ctx, cancel := context.WithCancel(context.Background())
		var feeding, coming sync.WaitGroup
		feeding.Go(func() { p.feed(ctx, t, "cam") })
		feeding.Go(func() { p.feed(ctx, t, "calm") })
		time.Sleep(3 * time.Second)
		calm := p.watch(t, egress.Request{App: "live", Name: "calm", Protocol: "httpflv"})
		place, session, err := p.Join(ctx, egress.Request{App: "live", Name: "cam", Protocol: "httpflv", Resumable: true})
		if err != nil {
			t.Fatal(err)
		}
		last := lastOf(t, place)
		place.Close()
		var mu sync.Mutex
		var all []back
		begun := time.Now()
		for i := range 3 * crowd {
			r := egress.Request{App: "live", Name: "cam", Protocol: "httpflv"}
			if i%3 == 0 {
				r.Resume = &egress.Resume{Token: session.Token, Track: last.Track, DTS: last.DTS}
			}
			coming.Go(func() {
				place, s, err := p.Join(ctx, r)
				b := back{after: time.Since(begun), exact: s.Resumed == egress.Exact, err: err, resumed: r.Resume != nil}
				var refusal *ingest.Refusal
				if errors.As(err, &refusal) {
					b.retry = refusal.RetryAfter
				}
				if err == nil {
					place.Close()
				}
				mu.Lock()
				all = append(all, b)
				mu.Unlock()
			})
		}
		coming.Wait()
		told(t, all)
		time.Sleep(time.Second)
		cancel()
		feeding.Wait()
		if gap := <-calm; gap > 100*time.Millisecond {
			t.Errorf("the viewer of the other stream had a gap of %v", gap)
		}
		p.hub.Close("the test is over")
	})
}

// told checks the results of the viewers.
func told(t *testing.T, all []back) {
	t.Helper()
	var in, fresh int
	var retries []time.Duration
	worst := time.Duration(0)
	for _, b := range all {
		switch {
		case b.resumed:
			if b.err != nil || !b.exact {
				t.Fatalf("returning viewer: got %+v", b)
			}
			in, worst = in+1, max(worst, b.after)
		case b.err == nil:
			fresh++
		case b.retry < 2*time.Second:
			t.Fatalf("new viewer: got %+v", b)
		default:
			retries = append(retries, b.retry)
		}
	}
	slices.Sort(retries)
	t.Logf("%d resumed within %v; of the new ones %d were let in, %d are to come again in %v to %v", in, worst, fresh, len(retries), retries[0], retries[len(retries)-1])
	if in != 1000 || worst > 2*time.Second || len(retries) < 900 {
		t.Error("that is not what they were to get")
	}
	distinct := len(slices.Compact(retries))
	if distinct < len(all)/4 {
		t.Errorf("got %d different times to come again", distinct)
	}
}

// lastOf returns the newest media packet that a viewer can have.
func lastOf(t *testing.T, place egress.Subscription) *packetbuf.Packet {
	t.Helper()
	packets, err := place.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range slices.Backward(packets) {
		if p.Media() {
			return p
		}
	}
	t.Fatal("there is no media")
	return nil
}

// watch watches a stream to its end, and returns the longest time without video.
func (p *fakeRelay) watch(t *testing.T, r egress.Request) <-chan time.Duration {
	t.Helper()
	place, _, err := p.Join(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	gap := make(chan time.Duration, 1)
	go func() {
		defer place.Close()
		longest, last := time.Duration(0), time.Now()
		for {
			packets, err := place.Read(context.Background())
			if err != nil {
				gap <- longest
				return
			}
			for _, p := range packets {
				if p.Track == packetbuf.Video && p.Media() && p.Flags&packetbuf.Filler == 0 {
					longest, last = max(longest, time.Since(last)), time.Now()
				}
			}
		}
	}()
	return gap
}

// Viewers that waited for a stream with thousands of others also join in turns when it is live.
func TestTurnsWhenAStreamBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakeRelay(t, 50)
		cfg := configs.Default()
		cfg.Defaults.PlayWait = 30 * time.Second
		p.settings.cfg.Store(&cfg)
		ctx, cancel := context.WithCancel(context.Background())
		var working sync.WaitGroup
		var mu sync.Mutex
		let, away := 0, 0
		begun := time.Now()
		for range 300 {
			working.Go(func() {
				place, _, err := p.Join(ctx, egress.Request{App: "live", Name: "cam", Protocol: "httpflv"})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					away++
					return
				}
				let++
				place.Close()
			})
		}
		time.Sleep(5 * time.Second)
		working.Go(func() { p.feed(ctx, t, "cam") })
		time.Sleep(10 * time.Second)
		cancel()
		working.Wait()
		if let+away != 300 || let < 100 || let > 120 {
			t.Errorf("got %d joined, %d refused, in %v", let, away, time.Since(begun))
		}
		p.hub.Close("the test is over")
	})
}

// While new viewers are refused, returning ones are admitted, and active ones do not wait.
func TestTurnsByPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakeRelay(t, 50)
		ctx, cancel := context.WithCancel(context.Background())
		var working sync.WaitGroup
		working.Go(func() { p.feed(ctx, t, "cam") })
		time.Sleep(3 * time.Second)
		play := func(s egress.JoinPriority) (time.Duration, error) {
			begun := time.Now()
			place, _, err := p.Join(ctx, egress.Request{App: "live", Name: "cam", Protocol: "hls", Priority: s})
			if err == nil {
				place.Close()
			}
			return time.Since(begun), err
		}
		for range 200 {
			working.Go(func() { _, _ = play(egress.NewViewer) })
		}
		synctest.Wait()
		if _, err := play(egress.NewViewer); err == nil {
			t.Error("there is a turn for one who begins")
		}
		for _, s := range []egress.JoinPriority{egress.ReturningViewer, egress.ActiveViewer} {
			if took, err := play(s); err != nil || took > 100*time.Millisecond {
				t.Errorf("priority %d: got %v after %v", s, err, took)
			}
		}
		for range 200 {
			working.Go(func() { _, _ = play(egress.ReturningViewer) })
		}
		synctest.Wait()
		if took, err := play(egress.ActiveViewer); err != nil || took > 0 {
			t.Errorf("active viewer: got %v after %v", err, took)
		}
		cancel()
		working.Wait()
		p.hub.Close("the test is over")
	})
}
