package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// waiting are settings with a play_wait.
type waiting struct {
	fakeSettings
	wait time.Duration
}

func (w waiting) PlayWait(_, _ string) time.Duration { return w.wait }

func newWith(s Settings, maxStreams int) *Hub {
	return New(Options{
		Settings: s, MaxStreams: maxStreams, Observer: &eventRecorder{}, Counters: &stream.Counters{}, Log: slog.New(slog.DiscardHandler),
	})
}

func request(name string, s ingest.Session) ingest.Request {
	return ingest.Request{App: "live", Name: name, Protocol: ingest.RTMP, Session: s}
}

func refusalOf(t *testing.T, err error) *ingest.Refusal {
	t.Helper()
	var r *ingest.Refusal
	if !errors.As(err, &r) || r.Reason == "" || r.Hint == "" {
		t.Fatalf("got %v, want a refusal", err)
	}
	return r
}

// Streams are accepted up to the limit. An ended stream makes room, and so does a reload.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newWith(fakeSettings{}, 2)
		defer h.Close("the test is over")
		try := func(name string) (ingest.Sink, error) {
			return h.Publish(t.Context(), request(name, newSession(name)))
		}
		var sinks []ingest.Sink
		for _, name := range []string{"a", "b"} {
			sink, err := try(name)
			if err != nil {
				t.Fatal(err)
			}
			sinks = append(sinks, sink)
		}
		_, err := try("c")
		if r := refusalOf(t, err); r.Outcome != ingest.RefusedLimit || r.RetryAfter == 0 {
			t.Errorf("%+v", r)
		}
		sinks[0].End(ingest.EOF, "") // without media there is no hold
		synctest.Wait()
		if _, err := try("c"); err != nil {
			t.Errorf("with room: %v", err)
		}
		h.Reload(3)
		if _, err := try("d"); err != nil {
			t.Errorf("after a reload: %v", err)
		}
		h.Reload(1) // no stream is dropped
		synctest.Wait()
		var names []string
		for _, s := range h.List() {
			names = append(names, s.Name())
		}
		if fmt.Sprint(names) != "[live/b live/c live/d]" {
			t.Errorf("%v", names)
		}
	})
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newWith(fakeSettings{}, 0)
		_, err := h.Publish(t.Context(), request("..", newSession("s")))
		if r := refusalOf(t, err); r.Outcome != ingest.RefusedName {
			t.Errorf("name: %+v", r)
		}
		_, err = h.Attach(t.Context(), "live", "..", "rtmp")
		if r := refusalOf(t, err); r.Outcome != ingest.RefusedName || r.NotLive {
			t.Errorf("play: %+v", r)
		}
		_, err = h.Attach(t.Context(), "live", "cam", "rtmp")
		if r := refusalOf(t, err); !r.NotLive || r.RetryAfter == 0 {
			t.Errorf("not live: %+v", r)
		}
		if n := len(h.List()); n != 0 {
			t.Errorf("refusals made %d streams", n)
		}
		h.Close("the test is over")
		_, err = h.Publish(t.Context(), request("cam", newSession("s")))
		if r := refusalOf(t, err); r.Outcome != ingest.RefusedLimit || r.RetryAfter == 0 {
			t.Errorf("closed: %+v", r)
		}
		_, err = h.Attach(t.Context(), "live", "cam", "rtmp")
		if r := refusalOf(t, err); r.NotLive || r.RetryAfter == 0 {
			t.Errorf("play when closed: %+v", r)
		}
	})
}

// A viewer may join before the publisher.
func TestPlayWait(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, h *Hub) // runs while the viewer waits
		live   bool
		took   time.Duration
	}{
		{"no publisher", func(*testing.T, *Hub) {}, false, 20 * time.Second},
		{"one comes", func(t *testing.T, h *Hub) {
			time.Sleep(5 * time.Second)
			publish(t, h, 1, gen.Options{}).run(t, h, 30*time.Second)
		}, true, 5 * time.Second},
		{"one comes too late", func(t *testing.T, h *Hub) {
			time.Sleep(21 * time.Second)
			publish(t, h, 1, gen.Options{}).run(t, h, 5*time.Second)
		}, false, 20 * time.Second},
		{"one without media", func(t *testing.T, h *Hub) { publish(t, h, 1, gen.Options{}) }, false, 20 * time.Second},
		{"one leaves, another comes", func(t *testing.T, h *Hub) {
			publish(t, h, 1, gen.Options{}).sink.End(ingest.EOF, "")
			time.Sleep(10 * time.Second)
			publish(t, h, 2, gen.Options{}).run(t, h, 15*time.Second)
		}, true, 10 * time.Second},
		{"the relay ends", func(_ *testing.T, h *Hub) {
			time.Sleep(3 * time.Second)
			h.Close("the test is over")
		}, false, 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newWith(waiting{wait: 20 * time.Second}, 0)
				defer h.Close("the test is over")
				began, done := time.Now(), make(chan struct{})
				go func() {
					defer close(done)
					r, err := h.Attach(context.Background(), "live", "cam", "httpflv")
					if took := time.Since(began); took != tt.took || (err == nil) != tt.live {
						t.Errorf("%v after %v", err, took)
					}
					if err != nil {
						refusalOf(t, err)
						return
					}
					defer r.Close()
					for {
						packets, err := r.Read(context.Background())
						if err != nil {
							t.Error(err)
							return
						}
						for _, p := range packets {
							if p.Media() {
								if p.Kind != packetbuf.Key {
									t.Errorf("got first media %v", p.Kind)
								}
								return
							}
						}
					}
				}()
				tt.before(t, h)
				<-done
			})
		})
	}
}

// A viewer may leave while it waits.
func TestLeaveWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newWith(waiting{wait: time.Hour}, 0)
		defer h.Close("the test is over")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := h.Attach(ctx, "live", "cam", "rtmp"); err == nil || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// A reload applies to running streams, too.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := 30 * time.Second
		h := newWith(fakeSettings{func(c *stream.Config) { c.Hold = hold }}, 0)
		defer h.Close("the test is over")
		p := publish(t, h, 1, gen.Options{})
		p.run(t, h, 2*time.Second)
		v := watch(t, h)
		hold = 3 * time.Second
		h.Reload(0)
		p.sink.End(ingest.Reset, "")
		began := time.Now()
		<-v.done
		if took := time.Since(began); took != 3*time.Second || v.err != nil {
			t.Errorf("held for %v, %v", took, v.err)
		}
		synctest.Wait()
		if h.Find("live/cam") != nil || h.Viewers() != 0 {
			t.Errorf("got %d streams and %d viewers, want none", len(h.List()), h.Viewers())
		}
	})
}

// A publisher that arrives at the moment at which its stream ends always gets a stream that
// lasts.
func TestPublishAtTheEnd(t *testing.T) {
	h := newWith(fakeSettings{func(c *stream.Config) {
		c.Hold, c.HoldUnpublish, c.Takeover = time.Microsecond, time.Microsecond, lifecycle.Always
	}}, 0)
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			g := gen.New(gen.Options{Source: uint32(n)})
			for i := range 200 {
				sink, err := h.Publish(t.Context(), request("cam", newSession(fmt.Sprint(n, i))))
				if err != nil {
					t.Errorf("publish: %v", err)
					return
				}
				g.Configure()
				for range 4 {
					if sink.Write(g.Next()) != nil {
						break // taken over
					}
				}
				sink.End(ingest.Unpublish, "")
			}
		})
	}
	all.Wait()
	h.Close("the test is over")
}

// The hub may be closed while publishers and viewers arrive and leave.
func TestCloseInTheMiddle(t *testing.T) {
	for range 20 {
		h := newWith(waiting{wait: time.Minute}, 0)
		var all sync.WaitGroup
		begun := make(chan struct{}, 64)
		for n := range 8 {
			name := fmt.Sprint("cam", n%3)
			all.Go(func() {
				g := gen.New(gen.Options{})
				for i := 0; ; i++ {
					sink, err := h.Publish(context.Background(), request(name, newSession(fmt.Sprint(n, i))))
					select {
					case begun <- struct{}{}:
					default:
					}
					if errors.Is(err, errClosed) {
						return
					}
					for err == nil && i%2 == 0 && g.Elapsed() < time.Second {
						err = sink.Write(g.Next())
					}
					if sink != nil {
						sink.End(ingest.EOF, "")
					}
				}
			})
			all.Go(func() {
				for {
					r, err := h.Attach(context.Background(), "live", name, "rtmp")
					if errors.Is(err, errClosed) {
						return
					}
					for err == nil {
						_, err = r.Read(context.Background())
					}
					if r != nil {
						r.Close()
					}
				}
			})
		}
		<-begun
		h.Close("the test is over")
		all.Wait()
		if n := h.Viewers(); n != 0 {
			t.Errorf("got %d viewers, want 0", n)
		}
	}
}
