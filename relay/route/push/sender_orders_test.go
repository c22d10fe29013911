package push

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// TestSenderWhateverIsOrdered gives arbitrary orders over arbitrary lines, with a rendition that
// ends or hangs some time. The screen checks that all that goes out can be decoded.
func TestSenderWhateverIsOrdered(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // repeatable on purpose
			ms := func(n int) time.Duration { return time.Duration(rng.IntN(n)) * time.Millisecond }
			b := film{mark: 'b', picture: 2000, gop: 10 + rng.IntN(60), length: stage.length, delay: ms(600), late: ms(200), clock: ms(9000), shift: ms(20)}
			skips := 0
			inCinema(t, stage, map[string]film{"b": b}, lower(-b.clock), func(c *cinema) {
				end, never := time.Now().Add(30*time.Second+ms(40000)), time.Time{}
				ended := rng.IntN(2) == 0
				if ended {
					c.byName["b"].cut(end, never, ErrEnded)
				} else {
					c.byName["b"].cut(never, end, nil)
				}
				for range 40 {
					o := Order{Rung: policy.Rung(rng.IntN(int(policy.Audio) + 1)), Share: rng.Float64()} //nolint:gosec // a handful
					if rng.IntN(2) == 0 {
						o.Offer = "low"
					}
					if rng.IntN(4) == 0 {
						skips++
					}
					o.Skips = skips
					c.do(o)
					c.line([]float64{0, 0, 60e3, 150e3, 250e3}[rng.IntN(5)])
					time.Sleep(ms(3000))
				}
				c.line(0)
				c.do(Order{Share: 1, Skips: skips})
				c.until('a', 10*time.Second)
				time.Sleep(3 * time.Second)
				if n := c.to.count(func(p shown) bool { return p.Kind == packetbuf.Disposable && time.Since(p.at) < time.Second }); n == 0 {
					t.Error("not whole again at full")
				}
				if ended && c.to.gap() > 60*time.Millisecond {
					t.Errorf("a step of %v in the sound", c.to.gap())
				}
			})
		})
	}
}
