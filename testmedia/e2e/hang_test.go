//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// detectLimit is how long a regular push may hang before it counts as broken.
const detectLimit = 1500 * time.Millisecond

// TestHang hangs a push with its socket open. The encoder connects again while the old socket is still
// open.
func TestHang(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	const stream = "live/cam"
	hung := publish(t, r, stream, gen.Options{Source: 1})
	w := streamCheck{t: t, relay: r, pushes: []*publisher{hung}}
	hung.waitSent(20)
	w.viewers = watchRTMPAndFLV(t, r, stream)
	hung.waitSent(300)
	took := expectSilence(t, r, hung, 0)
	t.Logf("silence detected after %v", took)

	redial := publish(t, r, stream, gen.Options{Source: 2})
	w.pushes = append(w.pushes, redial)
	r.waitResume(0)
	redial.waitSent(200)
	redial.pause()
	w.waitSettled(redial)
	w.checkComplete(nil)
	w.checkCounts()
	clock, key := w.checkClock(hung, redial)
	t.Logf("the clock is %v off, the first keyframe took %v, lip-sync shifted by %v", clock, key, w.checkSync())
	hung.waitClosed() // another push took over
	if n := r.metric(`holdfast_publish_sessions_total{outcome="refused_takeover",protocol="rtmp"}`); n != 0 {
		t.Errorf("got %v redials refused", n)
	}
}

// expectSilence pauses a push and waits for the n-th break, which must be in time and counted.
func expectSilence(t *testing.T, r *relay, p *publisher, n int) time.Duration {
	t.Helper()
	p.pause()
	sent := p.sent.all()
	l := r.waitBreak(n)
	took := l.at.Sub(sent[len(sent)-1].at)
	if l.str("cause") != "silence" || took > slack(detectLimit) {
		t.Errorf("got after %v: %s", took, l.text)
	}
	if got := r.metric(`holdfast_publish_breaks_total{cause="silence",protocol="rtmp"}`); got != float64(n+1) {
		t.Errorf("got %v breaks for silence in the metrics, want %d", got, n+1)
	}
	return took
}

// TestPushResumesAfterStall pauses a push for four seconds. It then continues on the same socket: with all
// frames due since then at once, like a line after an outage, or without them, like an encoder that was
// stopped.
func TestPushResumesAfterStall(t *testing.T) {
	t.Parallel()
	for name, thaw := range map[string]func(*publisher){
		"a dead line": (*publisher).resume, "a stopped encoder": (*publisher).resumeLive,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRelay(t)
			const stream = "live/cam"
			p := publish(t, r, stream, gen.Options{Source: 1, GOP: 30})
			w := streamCheck{t: t, relay: r, pushes: []*publisher{p}}
			p.waitSent(20)
			w.viewers = watchRTMPAndFLV(t, r, stream)
			p.waitSent(250)
			before := p.sent.len()
			t.Logf("silence detected after %v", expectSilence(t, r, p, 0))
			sleep(t, time.Until(p.sent.all()[before-1].at.Add(4*time.Second)))
			thaw(p)
			l := r.waitResume(0)
			if session := r.waitBreak(0).str("session"); l.str("session") != session {
				t.Errorf("session %s broke, got another one resumed: %s", session, l.text)
			}
			p.waitSent(before + 500)
			p.pause()
			w.waitSettled(p)
			for _, v := range w.viewers {
				v.checkOpen()
				if later := v.laterBy(l.at); later.Abs() > slack(300*time.Millisecond) {
					t.Errorf("%s viewer is %v later than before the pause, want at most 300ms", v.name, later)
				}
				from := v.framesFrom(1)
				prefix := 0
				for _, f := range from {
					if f.id.Track == 0 && f.id.Number == uint64(prefix) {
						prefix++
					}
				}
				if prefix < before*38/100 { // 30 of 77 frames a second are video
					t.Errorf("%s viewer: got %d video frames of the %d frames before the pause", v.name, prefix, before)
				}
			}
			if n := r.metric(`holdfast_publish_sessions_total{outcome="accepted",protocol="rtmp"}`); n != 1 {
				t.Errorf("got %v accepted pushes", n)
			}
			t.Logf("got %v late packets", r.metric("holdfast_publish_late_packets_total"))
		})
	}
}

// laterBy returns how much later video reached the viewer after a moment than before it, relative to the
// stream's clock. It compares the smallest delays.
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
		v.t.Fatalf("%s viewer: got %d frames before the pause and %d after it", v.name, n[0], n[1])
	}
	return least[1] - least[0]
}
