package route

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A stream that is held without a filler sends nothing: what stands between is told that the
// push lives, and it goes on when the stream does.
func TestHeldPushStaysAlive(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.far("a:1935")
		a.down()
		a.silent = true
		a.up()
		stop := w.publish(w.hub, "live/cam", gen.Options{})
		w.wait("a receives", time.Second, a.receiving)
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
				t.Fatal("nothing was sent for 15 s")
			}
		}
		w.publish(w.hub, "live/cam", gen.Options{Source: 2})
		w.wait("a receives", 2*time.Second, a.receiving)
		if n := len(w.happened(Broke)); n > 0 || len(a.connections()) != 1 {
			t.Errorf("%d breaks, %d connections", n, len(a.connections()))
		}
	}, pushes(nil, "a:1935"))
}
