package route

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/hub"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/route/push"
	"github.com/holdfast-live/holdfast/relay/stream"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// testRelay is a relay with streams and routes, and the servers around it, in a synctest bubble with an
// in-memory network.
type testRelay struct {
	t        *testing.T
	net      *faultnet.Network
	hub      *hub.Hub
	routes   *Routes
	cleanups []func() // run in reverse order

	mu         sync.Mutex
	events     []Event
	dials      map[string][]time.Time // dial times by address
	limits     map[string]float64     // bit rate limits by stream
	wanted     []string               // demanded renditions
	endDelay   time.Duration          // delay until pushes see the end of their stream
	silentTaps int                    // number of taps to come that return no packets
}

// withRelay runs f with a testRelay and groups, and closes it afterwards.
func withRelay(t *testing.T, f func(w *testRelay), groups ...Group) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &testRelay{t: t, dials: map[string][]time.Time{}, limits: map[string]float64{}}
		w.net = faultnet.NewNetwork(func(n int) faultnet.Options {
			shape := faultnet.Shape{Delay: 5 * time.Millisecond, Buffer: 64 << 10}
			return faultnet.Options{Seed: uint64(n), Up: shape, Down: shape}
		})
		h := hub.New(hub.Options{
			Settings: settings{}, Demand: hubDemand{w}, Observer: hubObserver{w}, Counters: &stream.Counters{}, Log: slog.New(slog.DiscardHandler),
		})
		w.hub = h
		var err error
		w.routes, err = New(Options{
			Streams: w, Access: h, Audience: h.Audience, Live: w.live, Observer: w, Dialer: w.dial,
			Breaker: policy.DefaultBreaker(), Log: slog.New(slog.DiscardHandler), Chance: func() float64 { return 0.5 },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		w.routes.Reload(groups, policy.DefaultBreaker())
		f(w)
	})
}

// close closes the relay and the servers.
func (w *testRelay) close() {
	w.routes.Close(context.Background())
	w.hub.Close("the test is over")
	slices.Reverse(w.cleanups)
	for _, cleanup := range w.cleanups {
		cleanup()
	}
	synctest.Wait()
}

func (w *testRelay) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	w.dials[addr] = append(w.dials[addr], time.Now())
	w.mu.Unlock()
	return w.net.DialContext(ctx, network, addr)
}

// hubDemand implements hub.Demand.
type hubDemand struct{ w *testRelay }

func (d hubDemand) Want(name string) (<-chan struct{}, bool) { return d.w.routes.Want(name) }
func (d hubDemand) Brings(name string) bool                  { return d.w.routes.Brings(name) }

// Observe implements Observer.
func (w *testRelay) Observe(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// hubObserver tells the routes when streams go live and end.
type hubObserver struct{ w *testRelay }

func (o hubObserver) Observe(e stream.Event) {
	switch {
	case e.Type == stream.State && e.To == lifecycle.Live && e.From == lifecycle.Idle:
		o.w.routes.Live(e.Stream)
	case e.Type == stream.Ended:
		o.w.routes.Ended(e.Stream)
	}
}

// eventsOf returns the events of some types, as "type route cause".
func (w *testRelay) eventsOf(types ...EventType) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, e := range w.events {
		if slices.Contains(types, e.Type) {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Type, e.Route, e.Cause)))
		}
	}
	return out
}

// switches returns the number of switches between routes.
func (w *testRelay) switches() int { return len(w.eventsOf(Switched)) }

// dialCount returns how often an address was dialed since a time.
func (w *testRelay) dialCount(addr string, since time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, at := range w.dials[addr] {
		if !at.Before(since) {
			n++
		}
	}
	return n
}

type settings struct{}

func (settings) Stream(string) stream.Config {
	return stream.Config{
		FirstMedia: 10 * time.Second, Hold: 30 * time.Second, HoldUnpublish: 5 * time.Second, Freeze: true,
		Buffer: packetbuf.Limits{Duration: 20 * time.Second, Bytes: 64 << 20}, Lag: 5 * time.Second,
	}
}

func (settings) PlayWait(_, _ string) time.Duration { return 0 }

// Tap implements Streams.
func (w *testRelay) Tap(name string, from uint64) (push.Tap, error) {
	s := w.hub.Find(name)
	if s == nil {
		return nil, push.ErrEnded
	}
	r, err := s.Tap(from)
	if err != nil {
		return nil, push.ErrEnded
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t := testTap{r, w.endDelay, w.silentTaps > 0}
	w.silentTaps = max(0, w.silentTaps-1)
	return t, nil
}

type testTap struct {
	*stream.Reader
	late time.Duration
	mute bool
}

func (t testTap) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	packets, err := t.Reader.Read(ctx)
	if t.mute {
		packets = nil
	}
	var end *stream.EndError
	if errors.As(err, &end) && t.late > 0 {
		select {
		case <-time.After(t.late):
		case <-ctx.Done():
		}
	}
	switch {
	case errors.As(err, &end) && end.Again:
		err = push.ErrChanged
	case errors.As(err, &end):
		err = push.ErrEnded
	}
	return packets, err
}

// Offers implements Streams.
func (w *testRelay) Offers(name string) []push.Offer {
	offer := func(full, rendition string) push.Offer {
		s := w.hub.Find(full)
		if s == nil {
			return push.Offer{}
		}
		weights := s.Weigh(10 * time.Second)
		per := 8 / max(weights.Span.Seconds(), 1)
		return push.Offer{Stream: full, Offset: -s.Origin(), Offer: policy.Offer{Name: rendition, Ready: weights.GOPs > 0, Rates: policy.Rates{
			Key: per * float64(weights.Key), Delta: per * float64(weights.Delta), Disposable: per * float64(weights.Disposable),
			Audio: per * float64(weights.Audio),
		}}}
	}
	out := []push.Offer{offer(name, "")}
	out[0].Offset = 0
	for _, s := range w.hub.Renditions(name) {
		out = append(out, offer(s.Name(), s.Name()[len(name)+1:]))
	}
	return out
}

// Want implements Streams.
func (w *testRelay) Want(name, rendition string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wanted = append(w.wanted, name+"~"+rendition)
}

// Limit implements Streams.
func (w *testRelay) Limit(name string, bits float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limits[name] = bits
}

func (w *testRelay) live() []string {
	var out []string
	for _, s := range w.hub.List() {
		if state := s.State(); state != lifecycle.Idle && state != lifecycle.Ended {
			out = append(out, s.Name())
		}
	}
	return out
}

// session is a publisher's session without a connection.
type session struct{ id string }

func (s session) ID() string                        { return s.id }
func (session) Close(ingest.Cause, string)          {}
func (session) RTT() (time.Duration, time.Duration) { return 0, 0 }

// publish publishes a generated stream in real time until the test ends or stop is called.
func (w *testRelay) publish(access ingest.Access, name string, o gen.Options) (stop func()) {
	w.t.Helper()
	app, leaf, _ := strings.Cut(name, "/")
	sink, err := access.Publish(context.Background(), ingest.Request{App: app, Name: leaf, Protocol: ingest.RTMP, Session: session{"made-" + name}})
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		g := gen.New(o)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		began := time.Now()
		for {
			select {
			case <-done:
				sink.End(ingest.Unpublish, "")
				return
			case <-tick.C:
			}
			for _, p := range g.Until(time.Since(began)) {
				p.Arrived = time.Now()
				if sink.Write(p) != nil {
					<-done
					return
				}
			}
		}
	})
	stop = sync.OnceFunc(func() { close(done); work.Wait() })
	w.cleanups = append(w.cleanups, stop)
	return stop
}

// pushGroup returns a group that pushes live/* to addresses, in order of preference.
func pushGroup(change func(*Group), addrs ...string) Group {
	g := Group{
		Name: "cdn", Match: "live/*", Redial: policy.DefaultBackoff(),
		After: 2 * time.Second, Rise: 30 * time.Second, Probe: 5 * time.Second,
		Ladder: []policy.Place{{Rung: policy.Full}, {Rung: policy.Rendition}, {Rung: policy.DropDisposable}, {Rung: policy.Trim}, {Rung: policy.Keyframes}, {Rung: policy.Audio}},
	}
	for i, addr := range addrs {
		g.Routes = append(g.Routes, Route{Name: string(rune('a' + i)), URL: "rtmp://" + addr + "/far/{name}?key=sample-secret"})
	}
	if change != nil {
		change(&g)
	}
	return g
}

// pullGroup returns a group that pulls cam/* from addresses, in order of preference.
func pullGroup(change func(*Group), addrs ...string) Group {
	g := pushGroup(nil, addrs...)
	g.Name, g.Match, g.Pull, g.OnDemand, g.Ladder = "origin", "cam/*", true, true, nil
	for i := range g.Routes {
		g.Routes[i].URL = strings.Replace(g.Routes[i].URL, "/far/", "/cam/", 1)
	}
	if change != nil {
		change(&g)
	}
	return g
}

// waitFor waits until ok returns true and returns how long it took. It fails the test after most.
func (w *testRelay) waitFor(what string, maximum time.Duration, ok func() bool) time.Duration {
	w.t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > maximum {
			for _, s := range w.routes.Status(time.Now(), false) {
				w.t.Logf("%+v", s)
			}
			w.t.Fatalf("%s: not within %v; %q", what, maximum, w.eventsOf(Dialed, Carries, Broke, Switched, Decided, Level))
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}
