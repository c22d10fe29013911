package watchdog

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/arrivals"
)

const ms = time.Millisecond

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// verdictAfter returns when the verdict falls if nothing more arrives, and how often the
// publisher is late before that.
func verdictAfter(w *Watchdog, now time.Time) (at time.Time, late int) {
	was := Fine
	for next := w.Next(now); !next.IsZero(); next = w.Next(now) {
		now = next
		v := w.Check(now)
		if v == Silent {
			return now, late
		}
		if v == Late && was != Late {
			late++
		}
		was = v
	}
	return time.Time{}, late
}

// playTrace feeds a trace until end and returns the times of Silent verdicts and the number of Late ones.
func playTrace(w *Watchdog, tr arrivals.Trace, end time.Duration) (silent []time.Duration, late int) {
	var last time.Duration
	for f := range tr.Frames {
		if f.Read > end {
			break
		}
		if quiet := f.Received - last; quiet >= 250*ms && w.packets > 0 { // shorter than for any verdict
			if quiet > w.lateAfter() {
				late++
			}
			if quiet > w.silentAfter() {
				silent = append(silent, last+w.silentAfter())
			}
		}
		w.Media(epoch.Add(f.Read), packetbuf.Video)
		last = f.Read
	}
	return silent, late
}

// pushSteadily sends 30 frames a second for d from at and returns when it ended.
func pushSteadily(w *Watchdog, at time.Time, d time.Duration) time.Time {
	for end := at.Add(d); at.Before(end); at = at.Add(time.Second / 30) {
		w.Media(at, packetbuf.Video)
	}
	return w.allTracks.last
}

func TestNoFalseVerdictInAnHour(t *testing.T) {
	// Until bursts have repeated, they cause verdicts.
	allowed := map[string]int{"bursts of 6 s": 3, "satellite": 3, "latency steps": 5} // the last two stall for up to 1.1 s
	for seed := range uint64(3) {
		for _, tr := range arrivals.Regular(seed) {
			w := New(Config{FirstMedia: 10 * time.Second}, epoch)
			silent, late := playTrace(w, tr, time.Hour)
			if len(silent) > allowed[tr.Name] {
				t.Errorf("%s, seed %d: got false verdicts at %v, want at most %d", tr.Name, seed, silent, allowed[tr.Name])
			}
			if tr.Name == "steady" && late > 0 {
				t.Errorf("steady push: got %d late verdicts, want none", late)
			}
		}
	}
}

// On connections that stall, verdicts may be false. The silence simulation weighs their cost; this
// test only bounds their number.
func TestFalseVerdictsOnBadLines(t *testing.T) {
	most := map[string]int{
		"single stalls": 40, "growing stalls": 60, "roaming": 100, "loaded relay": 0, "dynamic bitrate": 0,
		"slides that stall": 40, "5 % loss": 10, "10 % loss": 50, "15 % loss": 120,
	}
	for _, tr := range arrivals.Irregular(1) {
		silent, _ := playTrace(New(Config{}, epoch), tr, time.Hour)
		if want, ok := most[tr.Name]; !ok || len(silent) > want {
			t.Errorf("%s: got %d false verdicts in an hour, want at most %d", tr.Name, len(silent), want)
		}
	}
}

// Whatever came before, a push that was steady for its last seconds gets its verdict within
// 1.5 s of its last frame.
func TestHangIsDetectedAfterAnyHistory(t *testing.T) {
	const s = time.Second
	for name, stalls := range map[string][]time.Duration{
		"none":                 nil,
		"growing":              {800 * ms, 1600 * ms, 3 * s, 6 * s},
		"growing twice":        {800 * ms, 1600 * ms, 3 * s, 6 * s, 800 * ms, 1600 * ms, 3 * s, 6 * s},
		"one of 20 s":          {20 * s},
		"several of 15 s":      {15 * s, 15 * s, 15 * s},
		"short ones":           {300 * ms, 500 * ms, 400 * ms, 900 * ms, 200 * ms, 600 * ms},
		"falling":              {10 * s, 5 * s, 2 * s, 1 * s},
		"a minute":             {60 * s},
		"two of 4 s":           {4 * s, 4 * s},
		"one, long before":     {8 * s, 0, 0, 0, 0},
		"long, then short":     {12 * s, 700 * ms, 700 * ms},
		"just under a verdict": {950 * ms, 950 * ms, 950 * ms},
	} {
		w := New(Config{}, epoch)
		last := pushSteadily(w, epoch, 20*s)
		for _, stall := range stalls {
			last = pushSteadily(w, last.Add(stall), 7*s)
		}
		at, _ := verdictAfter(w, last)
		if got := at.Sub(last); got > 1500*ms {
			t.Errorf("%s: got a verdict after %v, want at most 1.5s", name, got)
		}
	}
}

// A rhythm of long gaps is forgotten within a minute of steady media.
func TestRhythmExpires(t *testing.T) {
	for _, tr := range arrivals.Regular(1) {
		w := New(Config{}, epoch)
		playTrace(w, tr, 10*time.Minute)
		last := pushSteadily(w, w.allTracks.last.Add(tr.Rhythm), time.Minute)
		at, _ := verdictAfter(w, last)
		if got := at.Sub(last); got > 1500*ms {
			t.Errorf("%s, then a steady minute: got a verdict after %v, want at most 1.5s", tr.Name, got)
		}
	}
}

// Stalls at random times, seconds apart, are not a rhythm, however many there are.
func TestRandomStallsAreNoRhythm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := New(Config{}, epoch)
		between := time.Duration(rapid.IntRange(6000, 9000).Draw(t, "between")) * ms
		last := pushSteadily(w, epoch, between)
		chance := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		for range 20 {
			last = last.Add(300*ms + time.Duration(chance.IntN(11_700))*ms)
			last = pushSteadily(w, last, between)
			at, _ := verdictAfter(w, last)
			if got := at.Sub(last); got > 1500*ms {
				t.Fatalf("got a verdict after %v, want at most 1.5s", got)
			}
		}
	})
}

// With random stalls the verdict falls at most 1.5 s beyond a gap that occurred at least three
// times in the last 40 seconds, give or take a third.
func TestVerdictIsBoundedByRepeatedGaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := New(Config{}, epoch)
		last := pushSteadily(w, epoch, time.Second)
		type ended struct {
			at  time.Time
			gap time.Duration
		}
		var stalls []ended
		for range rapid.IntRange(0, 30).Draw(t, "stalls") {
			stall := time.Duration(rapid.IntRange(50, 15_000).Draw(t, "ms")) * ms
			last = last.Add(stall)
			stalls = append(stalls, ended{last, stall})
			last = pushSteadily(w, last, time.Duration(rapid.IntRange(0, 20_000).Draw(t, "steady"))*ms)
		}
		repeated := time.Duration(0)
		for _, s := range stalls {
			similar := 0
			for _, other := range stalls {
				if last.Sub(other.at) <= gapMemory && float64(other.gap) >= minSimilarRatio*float64(s.gap) {
					similar++
				}
			}
			if last.Sub(s.at) <= gapMemory && similar >= minFillCount {
				repeated = max(repeated, s.gap)
			}
		}
		at, _ := verdictAfter(w, last)
		if got := at.Sub(last); got > repeated+1500*ms {
			t.Errorf("got a verdict after %v, want at most 1.5s more than %v", got, repeated)
		}
	})
}

func TestHangIsDetected(t *testing.T) {
	for name, c := range map[string]struct {
		period, after, within time.Duration
	}{
		"30 fps":                    {time.Second / 30, 20 * time.Second, 1500 * ms},
		"60 fps":                    {time.Second / 60, 20 * time.Second, 1500 * ms},
		"30 fps, in its 1st second": {time.Second / 30, 500 * ms, 1500 * ms},
		"5 fps":                     {200 * ms, 20 * time.Second, 1700 * ms},
		"1 fps":                     {time.Second, time.Minute, 2500 * ms},
		"a frame in 5 s":            {5 * time.Second, 5 * time.Minute, 6500 * ms},
	} {
		w := New(Config{}, epoch)
		last := epoch
		for at := time.Duration(0); at < c.after; at += c.period {
			last = epoch.Add(at)
			w.Media(last, packetbuf.Video)
		}
		at, late := verdictAfter(w, last)
		if got := at.Sub(last); got > c.within || got < time.Second || late != 1 {
			t.Errorf("%s: got a verdict after %v and %d late ones, want one within %v", name, got, late, c.within)
		}
	}
}

func TestFixedSilence(t *testing.T) {
	w := New(Config{Silence: 4 * time.Second}, epoch)
	w.Media(epoch, packetbuf.Video)
	if got := w.Check(epoch.Add(4*time.Second - 1)); got != Late {
		t.Errorf("just before 4s: got %v", got)
	}
	if got := w.Check(epoch.Add(4 * time.Second)); got != Silent {
		t.Errorf("at 4s: got %v", got)
	}
}

func TestFirstMedia(t *testing.T) {
	w := New(Config{FirstMedia: 10 * time.Second}, epoch)
	if got := w.Next(epoch); !got.Equal(epoch.Add(10 * time.Second)) {
		t.Errorf("got next check at %v", got)
	}
	if got := w.Check(epoch.Add(9 * time.Second)); got != Waiting {
		t.Errorf("at 9s: got %v", got)
	}
	if got := w.Check(epoch.Add(10 * time.Second)); got != Never {
		t.Errorf("at 10s: got %v", got)
	}
	w.Media(epoch.Add(9*time.Second), packetbuf.Audio)
	if got := w.Check(epoch.Add(9*time.Second + 100*ms)); got != Fine {
		t.Errorf("after media: got %v", got)
	}
}

func TestOneTrackSilent(t *testing.T) {
	w := New(Config{}, epoch)
	now := epoch
	for i := range 1000 { // 20 s; video stops after 10 s
		now = epoch.Add(time.Duration(i) * 20 * ms)
		w.Media(now, packetbuf.Audio)
		if i < 500 {
			w.Media(now, packetbuf.Video)
		}
		quiet := now.Sub(epoch) - 499*20*ms
		if w.TrackSilent(now, packetbuf.Video) != (quiet >= w.trackSilentAfter(packetbuf.Video)) {
			t.Fatalf("video, quiet for %v: got silent %v", quiet, w.TrackSilent(now, packetbuf.Video))
		}
		if w.TrackSilent(now, packetbuf.Audio) || w.Check(now) != Fine {
			t.Fatal("audio continues: got a silent session or track, want none")
		}
	}
	if got := w.trackSilentAfter(packetbuf.Video); got < 3*time.Second || got > 3100*ms {
		t.Errorf("steady track: got silent after %v, want about 3s", got)
	}
	if w.TrackSilent(now.Add(time.Minute), packetbuf.Video) {
		t.Error("whole session silent: got a single silent track, want none")
	}
}

// While the whole session is silent, no single track counts as silent, whichever returns first.
func TestSilenceOfSessionIsNotOfATrack(t *testing.T) {
	w := New(Config{}, epoch)
	now := epoch
	both := func(d time.Duration) {
		for end := now.Add(d); now.Before(end); now = now.Add(20 * ms) {
			w.Media(now, packetbuf.Audio)
			w.Media(now, packetbuf.Video)
		}
	}
	both(20 * time.Second)
	now = now.Add(10 * time.Second)
	w.Media(now, packetbuf.Audio)
	if w.TrackSilent(now, packetbuf.Video) {
		t.Error("video: got silent at once, want 3s from the return of audio")
	}
	for end := now.Add(3100 * ms); now.Before(end); now = now.Add(20 * ms) {
		w.Media(now, packetbuf.Audio)
	}
	if !w.TrackSilent(now, packetbuf.Video) {
		t.Error("video: got not silent 3s after audio returned without it")
	}
}

func TestRoundTripDelaysVerdict(t *testing.T) {
	w := New(Config{}, epoch)
	pushSteadily(w, epoch, 10*time.Second)
	before := w.silentAfter()
	w.RoundTrip(100*ms, 50*ms)
	if got := w.silentAfter() - before; got != 300*ms {
		t.Errorf("got the verdict later by %v, want 300ms", got)
	}
	w.RoundTrip(5*time.Second, time.Second)
	if got := w.silentAfter() - before; got != maxRTTAllowance {
		t.Errorf("got the verdict later by %v, want at most %v", got, maxRTTAllowance)
	}
}
