package hub

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/stream"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A viewer continues where it was cut off, also while the stream is held. On another stream of
// the same name it begins anew.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(&eventRecorder{}, fakeSettings{})
		defer h.Close("the test is over")
		p := publish(t, h, 1, gen.Options{})
		p.run(t, h, 3*time.Second)
		r, err := h.Attach(t.Context(), "live", "cam", "httpflv")
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		last := got[len(got)-1]
		at := stream.Position{Origin: r.Origin(), Track: last.Track, DTS: last.DTS}
		resumes := func(when string, want bool) {
			t.Helper()
			again, exact, err := h.Resume(t.Context(), "live", "cam", "httpflv", at)
			if err != nil || exact != want {
				t.Fatalf("%s: %v, %v", when, exact, err)
			}
			defer again.Close()
			next, err := again.Read(t.Context())
			if err != nil || exact && next[0].Seq != last.Seq+1 || !exact && next[0].Kind != packetbuf.Config {
				t.Errorf("%s: %v, %v", when, next[0].Seq, err)
			}
		}
		resumes("live", true)
		p.sink.End(ingest.Reset, "")
		time.Sleep(10 * time.Second)
		resumes("held", true)
		if _, _, err := h.Resume(t.Context(), "live", "b d", "httpflv", at); err == nil || isNotLive(err) {
			t.Errorf("a name that no stream has: %v", err)
		}
		r.Close()
		time.Sleep(30 * time.Second)
		if _, _, err := h.Resume(t.Context(), "live", "cam", "httpflv", at); !isNotLive(err) {
			t.Errorf("after the end: %v", err)
		}
		publish(t, h, 2, gen.Options{}).run(t, h, 3*time.Second)
		resumes("another stream of that name", false)
	})
}
