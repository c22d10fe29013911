package rtmp

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/watchdog"
	"github.com/holdfast-live/holdfast/packetbuf"
)

// TestSlowedPublisherIsNotTakenForSilent asks publishers for less than they can send, and for as
// good as nothing: what is not read must not look to the watchdog as if it were not sent. Pings
// are answered behind what waits, and not later.
func TestSlowedPublisherIsNotTakenForSilent(t *testing.T) {
	for _, adapts := range []bool{false, true} {
		for _, ceiling := range []float64{3e5, 1} {
			t.Run(fmt.Sprintf("adapts=%v/%.0f", adapts, ceiling), func(t *testing.T) {
				slowed(t, true, func(t *testing.T, e *encoder, h *heard, s ingest.Limiter) {
					e.adapts = adapts
					dog := watchdog.New(watchdog.Config{FirstMedia: 10 * time.Second}, time.Now())
					e.within(3*time.Minute, func() {
						seen := 0
						for began := time.Now(); time.Since(began) < 170*time.Second; time.Sleep(10 * time.Millisecond) {
							if time.Since(began) > 20*time.Second {
								s.Limit(ceiling)
							}
							now := time.Now()
							h.mu.Lock()
							if h.packets > seen {
								seen = h.packets
								dog.Media(h.last, packetbuf.Video)
							}
							h.mu.Unlock()
							dog.RoundTrip(s.(ingest.Session).RTT())
							if v := dog.Check(now); v == watchdog.Silent || v == watchdog.Never {
								t.Errorf("%v after %v", v, now.Sub(began))
								return
							}
						}
					})
					srtt, _ := s.(ingest.Session).RTT()
					_, gap, late, _ := h.restart()
					t.Logf("the longest gap %v, the latest packet %v, a round trip %v", gap, late, srtt)
					if srtt > maxLateness+time.Second {
						t.Errorf("pings are answered after %v", srtt)
					}
				})
			})
		}
	}
}
