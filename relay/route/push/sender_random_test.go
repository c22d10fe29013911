package push

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// TestSenderRandomOrders gives random orders over random lines, with a rendition that ends or hangs at
// some time. The fakeDestination checks that all that is sent can be decoded.
func TestSenderRandomOrders(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // reproducible on purpose
			ms := func(n int) time.Duration { return time.Duration(rng.IntN(n)) * time.Millisecond }
			b := streamSpec{mark: 'b', frameSize: 2000, gop: 10 + rng.IntN(60), length: fullSpec.length, delay: ms(600), videoDelay: ms(200), clock: ms(9000), audioShift: ms(20)}
			skips := 0
			runSender(t, fullSpec, map[string]streamSpec{"b": b}, lowOffer(-b.clock), func(c *senderTest) {
				end, never := time.Now().Add(30*time.Second+ms(40000)), time.Time{}
				ended := rng.IntN(2) == 0
				if ended {
					c.byName["b"].stopAt(end, never, ErrEnded)
				} else {
					c.byName["b"].stopAt(never, end, nil)
				}
				for range 40 {
					o := Order{Rung: policy.Rung(rng.IntN(int(policy.Audio) + 1)), Share: rng.Float64()} //nolint:gosec // small
					if rng.IntN(2) == 0 {
						o.Offer = "low"
					}
					if rng.IntN(4) == 0 {
						skips++
					}
					o.Skips = skips
					c.setOrder(o)
					c.setRate([]float64{0, 0, 60e3, 150e3, 250e3}[rng.IntN(5)])
					time.Sleep(ms(3000))
				}
				c.setRate(0)
				c.setOrder(Order{Share: 1, Skips: skips})
				c.waitForSource('a', 10*time.Second)
				time.Sleep(3 * time.Second)
				if n := c.dst.count(func(p written) bool { return p.Kind == packetbuf.Disposable && time.Since(p.at) < time.Second }); n == 0 {
					t.Error("got no disposable frame at full, want the whole stream")
				}
				if ended && c.dst.maxAudioGap() > 60*time.Millisecond {
					t.Errorf("got a step of %v in the audio, want at most 60ms", c.dst.maxAudioGap())
				}
			})
		})
	}
}
