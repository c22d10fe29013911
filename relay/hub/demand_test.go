package hub

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/stream"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// bringer brings streams in, some time after they were wanted.
type bringer struct {
	h *Hub

	mu       sync.Mutex
	wanted   []string
	hopeless chan struct{}
	bring    map[string]time.Duration
	work     sync.WaitGroup
}

func (b *bringer) Want(name string) (<-chan struct{}, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wanted = append(b.wanted, name)
	after, ok := b.bring[name]
	if !ok {
		return nil, false
	}
	delete(b.bring, name)
	if after > 0 {
		b.work.Go(func() {
			time.Sleep(after)
			b.feed(name)
		})
	}
	return b.hopeless, true
}

func (b *bringer) Brings(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.bring[name]
	return ok
}

// feed publishes a second of a stream.
func (b *bringer) feed(name string) {
	sink, err := b.h.Publish(context.Background(), ingest.Request{App: "cam", Name: name[len("cam/"):], Protocol: ingest.Pull, Session: newSession(name)})
	if err != nil {
		return
	}
	for _, p := range gen.New(gen.Options{}).Until(time.Second) {
		p.Arrived = time.Now()
		_ = sink.Write(p)
	}
}

func withBringer(t *testing.T, bring map[string]time.Duration, f func(h *Hub, b *bringer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bringer{hopeless: make(chan struct{}), bring: bring}
		h := New(Options{
			Settings: settings{}, Demand: b, Observer: &record{}, Counters: &stream.Counters{}, Log: slog.New(slog.DiscardHandler),
		})
		b.h = h
		f(h, b)
		h.Close("the test is over")
		b.work.Wait()
	})
}

func TestAttachWaitsForWhatIsOnItsWay(t *testing.T) {
	withBringer(t, map[string]time.Duration{"cam/one": 3 * time.Second}, func(h *Hub, _ *bringer) {
		began := time.Now()
		waiting := make(chan int, 1)
		time.AfterFunc(time.Second, func() { waiting <- h.Audience("cam/one") })
		r, err := h.Attach(context.Background(), "cam", "one", "rtmp")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
		if n := <-waiting; n != 1 {
			t.Errorf("an audience of %d while one waited", n)
		}
		if n := h.Audience("cam/one"); n != 1 {
			t.Errorf("an audience of %d while one watched", n)
		}
		r.Close()
		if n := h.Audience("cam/one"); n != 0 {
			t.Errorf("an audience of %d after it left", n)
		}
	})
}

func TestAttachIsToldWhenThereIsNoHope(t *testing.T) {
	withBringer(t, map[string]time.Duration{"cam/one": 0}, func(h *Hub, b *bringer) {
		began := time.Now()
		time.AfterFunc(2*time.Second, func() { close(b.hopeless) })
		if _, err := h.Attach(context.Background(), "cam", "one", "rtmp"); !isNotLive(err) {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestAttachDoesNotWaitForEver(t *testing.T) {
	withBringer(t, map[string]time.Duration{"cam/one": 0}, func(h *Hub, _ *bringer) {
		began := time.Now()
		if _, err := h.Attach(context.Background(), "cam", "one", "rtmp"); !isNotLive(err) {
			t.Fatal(err)
		}
		if took := time.Since(began); took != coming {
			t.Errorf("it took %v", took)
		}
	})
}

// A rendition that is made of a stream which is brought in first is wanted again when that is
// there.
func TestAttachWantsAgainWhatIsMadeOfAnother(t *testing.T) {
	withBringer(t, map[string]time.Duration{"cam/one": time.Second}, func(h *Hub, b *bringer) {
		first := true
		d := wants(func(name string) (<-chan struct{}, bool) {
			if name != "cam/one~small" {
				return nil, false
			}
			if first {
				first = false
				return b.Want("cam/one")
			}
			b.mu.Lock()
			b.bring["cam/one~small"] = time.Second
			b.mu.Unlock()
			return b.Want(name)
		})
		h.opts.Demand = d
		began := time.Now()
		r, err := h.Attach(context.Background(), "cam", "one~small", "rtmp")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %v", took)
		}
		if n := h.Audience("cam/one"); n != 1 {
			t.Errorf("an audience of %d: who watches a rendition wants the stream", n)
		}
	})
}

type wants func(string) (<-chan struct{}, bool)

func (w wants) Want(name string) (<-chan struct{}, bool) { return w(name) }
func (wants) Brings(string) bool                         { return true }

// Nothing is wanted of a stream that is live.
func TestAttachToWhatIsLiveAsksNobody(t *testing.T) {
	withBringer(t, map[string]time.Duration{"cam/one": time.Second}, func(h *Hub, b *bringer) {
		b.feed("cam/one")
		r, err := h.Attach(context.Background(), "cam", "one", "rtmp")
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		if len(b.wanted) != 0 {
			t.Errorf("wanted %q", b.wanted)
		}
	})
}

// The wait for a stream that was on its way is part of play_wait, not beside it.
func TestAttachWaitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newWith(waiting{wait: time.Minute}, 0)
		h.opts.Demand = wants(func(string) (<-chan struct{}, bool) { return make(chan struct{}), true })
		began := time.Now()
		if _, err := h.Attach(context.Background(), "cam", "one", "rtmp"); !isNotLive(err) {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("it took %v", took)
		}
		h.Close("the test is over")
	})
}

func TestRenditionsAreKnownByTheirParent(t *testing.T) {
	withBringer(t, nil, func(h *Hub, b *bringer) {
		for _, name := range []string{"cam/one", "cam/one~a", "cam/one~b", "cam/onetwo", "cam/onetwo~a"} {
			b.feed(name)
		}
		if n := len(h.Renditions("cam/one")); n != 2 {
			t.Errorf("%d renditions", n)
		}
		h.Find("cam/one~a").Close(ingest.Kick, "over")
		if got := h.Renditions("cam/one"); len(got) != 1 || got[0].Name() != "cam/one~b" {
			t.Errorf("%v", got)
		}
		h.Close("the test is over")
		if n := len(h.renditions); n != 0 {
			t.Errorf("%d are left", n)
		}
	})
}
