//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// detectLimit is how long a steady push may hang before that counts as a break.
const detectLimit = 1500 * time.Millisecond

// A push hangs with its socket open, which nothing tells us; the encoder dials again while
// the old socket still stands.
func TestHang(t *testing.T) {
	t.Parallel()
	r := start(t)
	const stream = "live/cam"
	hung := publish(t, r, stream, gen.Options{Source: 1})
	w := watched{t: t, relay: r, pushes: []*publisher{hung}}
	hung.atLeast(20)
	w.viewers = both(t, r, stream)
	hung.atLeast(300)
	took := silence(t, r, hung, 0)
	t.Logf("silence was detected after %v", took)

	redial := publish(t, r, stream, gen.Options{Source: 2})
	w.pushes = append(w.pushes, redial)
	r.resumed(0)
	redial.atLeast(200)
	redial.halt()
	w.settled(redial)
	w.whole(nil)
	w.counted()
	clock, key := w.bridged(hung, redial)
	t.Logf("the clock is %v off, the first keyframe took %v, lip-sync moved by %v", clock, key, w.inSync())
	hung.closed() // whose place was taken
	if n := r.metric(`holdfast_publish_sessions_total{outcome="refused_takeover",protocol="rtmp"}`); n != 0 {
		t.Errorf("%v redials were refused", n)
	}
}

// silence halts a push and waits for break number n, which must be in time and counted.
func silence(t *testing.T, r *relay, p *publisher, n int) time.Duration {
	t.Helper()
	p.halt()
	sent := p.sent.all()
	l := r.broke(n)
	took := l.at.Sub(sent[len(sent)-1].at)
	if l.str("cause") != "silence" || took > slack(detectLimit) {
		t.Errorf("after %v: %s", took, l.text)
	}
	if got := r.metric(`holdfast_publish_breaks_total{cause="silence",protocol="rtmp"}`); got != float64(n+1) {
		t.Errorf("%v breaks by silence are counted, want %d", got, n+1)
	}
	return took
}

// A push stands still for four seconds and goes on over the same socket: with what fell due
// meanwhile, all at once, as a line does that was dead; or without it, as an encoder does
// that was stopped.
func TestThaw(t *testing.T) {
	t.Parallel()
	for name, thaw := range map[string]func(*publisher){
		"a dead line": (*publisher).thaw, "a stopped encoder": (*publisher).skip,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			const stream = "live/cam"
			p := publish(t, r, stream, gen.Options{Source: 1, GOP: 30})
			w := watched{t: t, relay: r, pushes: []*publisher{p}}
			p.atLeast(20)
			w.viewers = both(t, r, stream)
			p.atLeast(250)
			before := p.sent.len()
			t.Logf("silence was detected after %v", silence(t, r, p, 0))
			wait(t, time.Until(p.sent.all()[before-1].at.Add(4*time.Second)))
			thaw(p)
			l := r.resumed(0)
			if session := r.broke(0).str("session"); l.str("session") != session {
				t.Errorf("session %s broke, and this went on: %s", session, l.text)
			}
			p.atLeast(before + 500)
			p.halt()
			w.settled(p)
			for _, v := range w.viewers {
				v.watching()
				if later := v.laterBy(l.at); later.Abs() > slack(300*time.Millisecond) {
					t.Errorf("%s viewer is %v later than before the stop, want at most 300ms", v.name, later)
				}
				from := v.seen(1)
				prefix := 0
				for _, f := range from {
					if f.id.Track == 0 && f.id.Number == uint64(prefix) {
						prefix++
					}
				}
				if prefix < before*38/100 { // of 77 frames a second 30 are pictures
					t.Errorf("%s viewer has %d pictures of the %d frames before the stop", v.name, prefix, before)
				}
			}
			if n := r.metric(`holdfast_publish_sessions_total{outcome="accepted",protocol="rtmp"}`); n != 1 {
				t.Errorf("%v pushes were accepted", n)
			}
			t.Logf("%v packets came late", r.metric("holdfast_publish_late_packets_total"))
		})
	}
}

// laterBy returns how much later, at the best, video reached the viewer after a moment than
// before it, by the stream's clock.
func (v *viewer) laterBy(moment time.Time) time.Duration {
	v.t.Helper()
	var least [2]time.Duration
	var n [2]int
	for _, f := range v.frames.all() {
		if f.track != packetbuf.Video || f.config || f.filler {
			continue
		}
		i := 0
		if f.at.After(moment.Add(time.Second)) {
			i = 1
		} else if f.at.After(moment.Add(-5 * time.Second)) {
			continue
		}
		late := time.Duration(f.at.UnixNano()) - f.dts
		if n[i]++; n[i] == 1 || late < least[i] {
			least[i] = late
		}
	}
	if n[0] == 0 || n[1] == 0 {
		v.t.Fatalf("%s viewer has %d frames before the stop and %d after it", v.name, n[0], n[1])
	}
	return least[1] - least[0]
}
