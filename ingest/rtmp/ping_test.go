package rtmp

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// TestHeartbeatFollowsTheLine: seldom on a good one, often on one that delays, and back.
func TestHeartbeatFollowsTheLine(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, w *world) {
		p := rtmptest.Handshake(t, w.l.Dial())
		p.Publish("live", "cam")
		s, ok := (<-w.access.sinks).request.Session.(ingest.Beater)
		if !ok {
			t.Fatal("the session tells nothing of its heartbeats")
		}
		var bad atomic.Bool
		pings, end := p.AnswerPings(func() time.Duration {
			if bad.Load() && time.Now().Nanosecond()/1e6%3 == 0 { // at what looks like chance
				return 900 * time.Millisecond
			}
			return 31 * time.Millisecond
		})
		defer end()
		over := func(d time.Duration) (n int64) {
			before := pings.Load()
			time.Sleep(d)
			synctest.Wait()
			return pings.Load() - before
		}
		over(10 * time.Minute)
		if n := over(10 * time.Minute); n < 19 || n > 21 || s.Heartbeat() < 29*time.Second {
			t.Errorf("on a good line %d pings in ten minutes, each %v", n, s.Heartbeat())
		}
		bad.Store(true)
		over(5 * time.Minute)
		if n := over(10 * time.Minute); n < 40 || s.Heartbeat() > 20*time.Second {
			t.Errorf("on a bad line %d pings in ten minutes, each %v", n, s.Heartbeat())
		}
		bad.Store(false)
		over(time.Hour)
		if s.Heartbeat() < 25*time.Second {
			t.Errorf("on a good line again each %v", s.Heartbeat())
		}
	})
}

func TestFixedHeartbeat(t *testing.T) {
	o := Options{Heartbeat: func(app, name string) time.Duration {
		if app == "live" && name == "cam" {
			return 4 * time.Second
		}
		return 0
	}}
	bubble(t, o, func(t *testing.T, w *world) {
		p := rtmptest.Handshake(t, w.l.Dial())
		p.Publish("live", "cam")
		<-w.access.sinks
		pings, end := p.AnswerPings(func() time.Duration { return 300 * time.Millisecond })
		defer end()
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if n := pings.Load(); n < 59 || n > 61 {
			t.Errorf("%d pings in four minutes", n)
		}
	})
}
