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

// fakeDemand starts streams some time after they were requested.
type fakeDemand struct {
	h *Hub

	mu       sync.Mutex
	wanted   []string
	hopeless chan struct{}
	bring    map[string]time.Duration
	work     sync.WaitGroup
}

func (b *fakeDemand) Want(name string) (<-chan struct{}, bool) {
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

func (b *fakeDemand) Brings(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.bring[name]
	return ok
}

// feed publishes one second of a stream.
func (b *fakeDemand) feed(name string) {
	sink, err := b.h.Publish(context.Background(), ingest.Request{App: "cam", Name: name[len("cam/"):], Protocol: ingest.Pull, Session: newSession(name)})
	if err != nil {
		return
	}
	for _, p := range gen.New(gen.Options{}).Until(time.Second) {
		p.Arrived = time.Now()
		_ = sink.Write(p)
	}
}

func withDemand(t *testing.T, bring map[string]time.Duration, f func(h *Hub, b *fakeDemand)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &fakeDemand{hopeless: make(chan struct{}), bring: bring}
		h := New(Options{
			Settings: fakeSettings{}, Demand: b, Observer: &eventRecorder{}, Counters: &stream.Counters{}, Log: slog.New(slog.DiscardHandler),
		})
		b.h = h
		f(h, b)
		h.Close("the test is over")
		b.work.Wait()
	})
}

func TestAttachWaitsForStartingStream(t *testing.T) {
	withDemand(t, map[string]time.Duration{"cam/one": 3 * time.Second}, func(h *Hub, _ *fakeDemand) {
		began := time.Now()
		waiting := make(chan int, 1)
		time.AfterFunc(time.Second, func() { waiting <- h.Audience("cam/one") })
		r, err := h.Attach(context.Background(), "cam", "one", "rtmp")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("Attach took %v", took)
		}
		if n := <-waiting; n != 1 {
			t.Errorf("got audience %d while one viewer waits", n)
		}
		if n := h.Audience("cam/one"); n != 1 {
			t.Errorf("got audience %d while one viewer watches", n)
		}
		r.Close()
		if n := h.Audience("cam/one"); n != 0 {
			t.Errorf("got audience %d after the viewer left", n)
		}
	})
}

func TestAttachReturnsWhenStartFails(t *testing.T) {
	withDemand(t, map[string]time.Duration{"cam/one": 0}, func(h *Hub, b *fakeDemand) {
		began := time.Now()
		time.AfterFunc(2*time.Second, func() { close(b.hopeless) })
		if _, err := h.Attach(context.Background(), "cam", "one", "rtmp"); !isNotLive(err) {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("Attach took %v", took)
		}
	})
}

func TestAttachWaitIsBounded(t *testing.T) {
	withDemand(t, map[string]time.Duration{"cam/one": 0}, func(h *Hub, _ *fakeDemand) {
		began := time.Now()
		if _, err := h.Attach(context.Background(), "cam", "one", "rtmp"); !isNotLive(err) {
			t.Fatal(err)
		}
		if took := time.Since(began); took != startWait {
			t.Errorf("Attach took %v", took)
		}
	})
}

// A rendition of a stream that is started first is requested again when that stream is live.
func TestAttachRequestsRenditionAgain(t *testing.T) {
	withDemand(t, map[string]time.Duration{"cam/one": time.Second}, func(h *Hub, b *fakeDemand) {
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
			t.Errorf("Attach took %v", took)
		}
		if n := h.Audience("cam/one"); n != 1 {
			t.Errorf("got audience %d, want viewers of a rendition counted", n)
		}
	})
}

type wants func(string) (<-chan struct{}, bool)

func (w wants) Want(name string) (<-chan struct{}, bool) { return w(name) }
func (wants) Brings(string) bool                         { return true }

// A live stream is not requested.
func TestAttachToLiveStreamRequestsNothing(t *testing.T) {
	withDemand(t, map[string]time.Duration{"cam/one": time.Second}, func(h *Hub, b *fakeDemand) {
		b.feed("cam/one")
		r, err := h.Attach(context.Background(), "cam", "one", "rtmp")
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		if len(b.wanted) != 0 {
			t.Errorf("got requests for %q, want none", b.wanted)
		}
	})
}

// The wait for a stream that is being started counts towards play_wait.
func TestAttachWaitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newWith(waiting{wait: time.Minute}, 0)
		h.opts.Demand = wants(func(string) (<-chan struct{}, bool) { return make(chan struct{}), true })
		began := time.Now()
		if _, err := h.Attach(context.Background(), "cam", "one", "rtmp"); !isNotLive(err) {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("Attach took %v", took)
		}
		h.Close("the test is over")
	})
}

func TestRenditionsAreKnownByTheirParent(t *testing.T) {
	withDemand(t, nil, func(h *Hub, b *fakeDemand) {
		for _, name := range []string{"cam/one", "cam/one~a", "cam/one~b", "cam/onetwo", "cam/onetwo~a"} {
			b.feed(name)
		}
		if n := len(h.Renditions("cam/one")); n != 2 {
			t.Errorf("got %d renditions", n)
		}
		h.Find("cam/one~a").Close(ingest.Kick, "over")
		if got := h.Renditions("cam/one"); len(got) != 1 || got[0].Name() != "cam/one~b" {
			t.Errorf("%v", got)
		}
		h.Close("the test is over")
		if n := len(h.renditions); n != 0 {
			t.Errorf("got %d renditions, want 0", n)
		}
	})
}
