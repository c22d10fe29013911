package route

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestHeldPushStaysAlive holds a stream without a filler, so that no media is sent. The push must send
// keep-alives for the network in between, and must continue with the stream.
func TestHeldPushStaysAlive(t *testing.T) {
	withRelay(t, func(w *testRelay) {
		a := w.destination("a:1935")
		a.kill()
		a.silent = true
		a.start()
		stop := w.publish(w.hub, "live/cam", gen.Options{})
		w.waitFor("a receives", time.Second, a.receiving)
		c := settings{}.Stream("")
		c.Freeze, c.HoldUnpublish = false, 10*time.Minute
		w.hub.Find("live/cam").Configure(c)
		time.Sleep(10 * time.Second)
		stop()
		time.Sleep(5 * time.Second)
		for range 10 {
			before := w.net.Wire(0).Bytes(faultnet.Up)
			time.Sleep(15 * time.Second)
			if w.net.Wire(0).Bytes(faultnet.Up) == before {
				t.Fatal("got no bytes sent for 15 s, want keep-alives")
			}
		}
		w.publish(w.hub, "live/cam", gen.Options{Source: 2})
		w.waitFor("a receives", 2*time.Second, a.receiving)
		if n := len(w.eventsOf(Broke)); n > 0 || len(a.connections()) != 1 {
			t.Errorf("got %d breaks and %d connections, want 0 and 1", n, len(a.connections()))
		}
	}, pushGroup(nil, "a:1935"))
}
