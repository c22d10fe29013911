package route

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestRandomActions performs random actions and closes the routes in between. No runner may be left, no
// host may keep a dial in flight, and no caller may wait forever.
func TestRandomActions(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			withRelay(t, func(w *testRelay) {
				c := newRandomActions(w, seed)
				for range 150 {
					c.next()
					time.Sleep(time.Duration(c.rng.IntN(1500)) * time.Millisecond)
				}
				w.routes.Close(context.Background())
				for _, b := range w.routes.Breakers(time.Now()) {
					if b.InFlight != 0 || b.Waiting != 0 {
						t.Errorf("got breaker %+v, want no dial in flight or waiting", b)
					}
				}
				if n := len(w.routes.Status(time.Now(), true)); n != 0 {
					t.Errorf("got %d runners after Close, want 0", n)
				}
				if n := w.routes.selfPush.Len(); n != 0 {
					t.Errorf("got %d local addresses recorded after Close, want 0", n)
				}
			}, pushGroup(nil, "a:1935", "b:1935"))
		})
	}
}

// randomActions performs random actions on a testRelay.
type randomActions struct {
	w       *testRelay
	rng     *rand.Rand
	servers []*fakeServer
	stops   map[string]func()
	work    sync.WaitGroup
}

func newRandomActions(w *testRelay, seed uint64) *randomActions {
	c := &randomActions{w: w, rng: rand.New(rand.NewPCG(seed, seed)), stops: map[string]func(){}}
	c.servers = []*fakeServer{w.destination("a:1935"), w.destination("b:1935"), w.origin("c:1935"), w.origin("d:1935")}
	for i, origin := range c.servers[2:] {
		w.publish(origin, "cam/one", gen.Options{Source: uint32(i), VideoBitrate: 200_000}) //nolint:gosec // a few
	}
	w.cleanups = append(w.cleanups, c.work.Wait)
	return c
}

func (c *randomActions) next() {
	w := c.w
	name := fmt.Sprintf("live/cam%d", c.rng.IntN(3))
	switch side := c.servers[c.rng.IntN(len(c.servers))]; c.rng.IntN(10) {
	case 0, 1:
		if stop := c.stops[name]; stop != nil {
			stop()
			delete(c.stops, name)
		} else if s := w.hub.Find(name); s == nil {
			c.stops[name] = w.publish(w.hub, name, gen.Options{VideoBitrate: 200_000})
		}
	case 2:
		if side.stop == nil {
			side.start()
		} else {
			side.kill()
		}
	case 3:
		w.net.Do(faultnet.Hang, faultnet.Both)
	case 4:
		w.net.Do(faultnet.Reset, faultnet.Both)
	case 5:
		w.routes.Reload(c.groups(), policy.BreakerConfig{Fall: 1 + c.rng.IntN(5), Rise: 1, Dials: 1 + c.rng.IntN(3), Every: time.Second})
	case 6:
		route := []string{"", "a", "b"}[c.rng.IntN(3)]
		_ = w.routes.Force("cdn", name, route)
		_ = w.routes.ForceRung("cdn", name, []string{"", "audio", "trim"}[c.rng.IntN(3)])
		_ = w.routes.Reset("cdn", name, "a")
		_ = w.routes.ResetBreaker(side.addr)
	case 7, 8:
		c.watch()
	case 9:
		w.net.SetDark(c.rng.IntN(2) == 0)
	}
}

// watch attaches a viewer for a while, if the stream exists.
func (c *randomActions) watch() {
	stay := time.Duration(c.rng.IntN(20)) * time.Second
	c.work.Go(func() {
		r, err := c.w.hub.Attach(context.Background(), "cam", "one", "rtmp")
		if err != nil {
			return
		}
		defer r.Close()
		ctx, cancel := context.WithTimeout(context.Background(), stay)
		defer cancel()
		for err == nil {
			_, err = r.Read(ctx)
		}
	})
}

// groups returns random groups, for a reload.
func (c *randomActions) groups() (out []Group) {
	if c.rng.IntN(4) > 0 {
		out = append(out, pushGroup(func(g *Group) { g.Missed, g.GiveUp = c.rng.IntN(2) == 0, 3*c.rng.IntN(2) }, "a:1935", "b:1935"))
	}
	if c.rng.IntN(4) > 0 {
		out = append(out, pullGroup(func(g *Group) {
			if c.rng.IntN(2) == 0 {
				g.OnDemand, g.Match = false, "cam/one"
			}
		}, "c:1935", "d:1935"))
	}
	return out
}
