package timeline

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// pushDrifting pushes video, and audio if wanted, for d by the publisher's clock, which runs at rate
// times the wall's. It returns the wall time of the last packet.
func pushDrifting(tl *Timeline, from, d time.Duration, rate float64, sound bool) time.Duration {
	at := time.Duration(0)
	for raw := 40 * ms; raw <= d; raw += 40 * ms {
		at = from + time.Duration(float64(raw)/rate)
		tl.Place(video(raw, at))
		if sound {
			tl.Place(audio(raw+10*ms, at))
		}
	}
	return at
}

// The clock follows a publisher whose own clock is fast or slow, for an hour: after a break the next
// session continues where the last one ended, not at the wall clock's time.
func TestClockFollowsADriftingPublisher(t *testing.T) {
	for _, rate := range []float64{0.9, 0.9999, 1, 1.0001, 1.1} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			var tl Timeline
			splice(t, &tl, video(0, 0))
			end := pushDrifting(&tl, 0, time.Hour, rate, true)
			for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
				last, _ := tl.Last(tr)
				if ahead := tl.Clock(tr, epoch.Add(end)) - last; ahead > 500*ms {
					t.Errorf("%v: got the clock %v ahead of the newest packet, want at most 500ms", tr, ahead)
				}
			}
			last, _ := tl.Last(packetbuf.Video)
			if at := splice(t, &tl, video(77*ms, end+time.Second)) - last; at < 900*ms || at > 1500*ms {
				t.Errorf("next session a second later: got %v on, want about 1s", at)
			}
		})
	}
}

// A track that was away for an hour has not seen the drift, so its estimate of the clock is
// discarded.
func TestReturningTrackFollowsTheOther(t *testing.T) {
	for _, rate := range []float64{0.9, 1, 1.1} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			var tl Timeline
			splice(t, &tl, video(0, 0))
			end := pushDrifting(&tl, 0, 10*time.Second, 1, true)
			splice(t, &tl, video(0, end+time.Second)) // a session with video only
			end = pushDrifting(&tl, end+time.Second, time.Hour, rate, false)
			last, _ := tl.Last(packetbuf.Video)
			if off := tl.Clock(packetbuf.Audio, epoch.Add(end)) - last; off < 0 || off > 500*ms {
				t.Errorf("audio clock: got %v off, want 0 to 500ms", off)
			}
			// Audio begins in the same session, in sync with video.
			v, a := video(time.Hour+40*ms, end+40*ms), audio(time.Hour+50*ms, end+40*ms)
			if !tl.Place(v) || !tl.Place(a) || a.DTS-v.DTS != 10*ms {
				t.Errorf("got audio %v behind video, want 10ms", a.DTS-v.DTS)
			}
			// And a session with audio only continues there.
			if at := splice(t, &tl, audio(0, end+time.Second)) - a.DTS; at < 900*ms || at > 1500*ms {
				t.Errorf("audio only a second later: got %v on, want about 1s", at)
			}
		})
	}
}

// A track that begins after a burst is placed by the clock that the burst moved.
func TestTrackBeginsAfterABurst(t *testing.T) {
	var tl Timeline
	splice(t, &tl, video(0, 0))
	pushDrifting(&tl, 0, 10*time.Second, 1, true)
	splice(t, &tl, video(0, 11*time.Second))
	for i := range 100 { // four seconds at once
		tl.Place(video(time.Duration(i+1)*40*ms, 11*time.Second))
	}
	v, a := video(4040*ms, 11040*ms), audio(4050*ms, 11040*ms)
	if !tl.Place(v) || !tl.Place(a) || a.DTS-v.DTS != 10*ms {
		t.Errorf("got audio %v behind video, want 10ms", a.DTS-v.DTS)
	}
}

// A stream and a session last several times longer than 32 bits can count.
func TestSessionOfMonths(t *testing.T) {
	var tl Timeline
	splice(t, &tl, video(wrap-time.Hour, 0))
	const step = time.Minute
	last := time.Duration(0)
	for at := step; at < 120*24*time.Hour; at += step {
		v := video(wrap-time.Hour+at, at)
		if !tl.Place(v) || v.DTS != at {
			t.Fatalf("video after %v: got %v, want %v", at, v.DTS, at)
		}
		last = at
	}
	a := audio(wrap-time.Hour+last+5*ms, last)
	if !tl.Place(a) || a.DTS != last+5*ms {
		t.Errorf("audio that begins after %v: got %v, want %v", last, a.DTS, last+5*ms)
	}
}
