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

// TestWhateverHappens has everything happen at once, in any order, and the routes closed in the
// middle of it: nothing is left running, no place with a host stays taken, and nobody waits for
// ever.
func TestWhateverHappens(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, func(w *world) {
				c := newChurn(w, seed)
				for range 150 {
					c.something()
					time.Sleep(time.Duration(c.rng.IntN(1500)) * time.Millisecond)
				}
				w.routes.Close(context.Background())
				for _, b := range w.routes.Breakers(time.Now()) {
					if b.InFlight != 0 || b.Waiting != 0 {
						t.Errorf("%+v", b)
					}
				}
				if n := len(w.routes.Status(time.Now(), true)); n != 0 {
					t.Errorf("%d runners are left", n)
				}
				if n := w.routes.selfPush.Len(); n != 0 {
					t.Errorf("%d near ends are remembered", n)
				}
			}, pushes(nil, "a:1935", "b:1935"))
		})
	}
}

// churn is what happens in a world.
type churn struct {
	w     *world
	rng   *rand.Rand
	sides []*farSide
	stops map[string]func()
	work  sync.WaitGroup
}

func newChurn(w *world, seed uint64) *churn {
	c := &churn{w: w, rng: rand.New(rand.NewPCG(seed, seed)), stops: map[string]func(){}}
	c.sides = []*farSide{w.far("a:1935"), w.far("b:1935"), w.origin("c:1935"), w.origin("d:1935")}
	for i, o := range c.sides[2:] {
		w.publish(o, "cam/one", gen.Options{Source: uint32(i), VideoBitrate: 200_000}) //nolint:gosec // a few
	}
	w.ends = append(w.ends, c.work.Wait)
	return c
}

func (c *churn) something() {
	w := c.w
	name := fmt.Sprintf("live/cam%d", c.rng.IntN(3))
	switch side := c.sides[c.rng.IntN(len(c.sides))]; c.rng.IntN(10) {
	case 0, 1:
		if stop := c.stops[name]; stop != nil {
			stop()
			delete(c.stops, name)
		} else if s := w.hub.Find(name); s == nil {
			c.stops[name] = w.publish(w.hub, name, gen.Options{VideoBitrate: 200_000})
		}
	case 2:
		if side.stop == nil {
			side.up()
		} else {
			side.down()
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

// watch has somebody watch for a while, if there is anything to be seen.
func (c *churn) watch() {
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

// groups are groups as they may come with a reload.
func (c *churn) groups() (out []Group) {
	if c.rng.IntN(4) > 0 {
		out = append(out, pushes(func(g *Group) { g.Missed, g.GiveUp = c.rng.IntN(2) == 0, 3*c.rng.IntN(2) }, "a:1935", "b:1935"))
	}
	if c.rng.IntN(4) > 0 {
		out = append(out, pulls(func(g *Group) {
			if c.rng.IntN(2) == 0 {
				g.OnDemand, g.Match = false, "cam/one"
			}
		}, "c:1935", "d:1935"))
	}
	return out
}
