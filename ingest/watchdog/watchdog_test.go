package watchdog

import (
	"iter"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const ms = time.Millisecond

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// trace yields the arrivals of one publisher, in order, without end.
type trace = iter.Seq2[time.Duration, packetbuf.Track]

// every yields one frame each period, each as late as delay says, never before the one
// that went before it: TCP keeps the order.
func every(period func() time.Duration, delay func(sent time.Duration) time.Duration) trace {
	return func(yield func(time.Duration, packetbuf.Track) bool) {
		sent, arrived := time.Duration(0), time.Duration(0)
		for {
			arrived = max(arrived, sent+delay(sent))
			if !yield(arrived, packetbuf.Video) {
				return
			}
			sent += period()
		}
	}
}

func constant(d time.Duration) func() time.Duration { return func() time.Duration { return d } }
func none(time.Duration) time.Duration              { return 0 }

// lossyTCP yields the frames of an encoder behind a line that loses a share of all
// segments. One lost is sent again after a round trip, and, lost again, after a timeout
// that doubles; until it is through, nothing behind it arrives. The encoder gives up frames
// that have waited for 900 ms, as OBS does.
func lossyTCP(r *rand.Rand, loss float64, rtt time.Duration) trace {
	const segments = 2 // a frame, at the bitrate that is left on such a line
	return func(yield func(time.Duration, packetbuf.Track) bool) {
		line := time.Duration(0)
		for sent := time.Duration(0); ; sent += time.Second / 30 {
			if line-sent > 900*ms {
				continue
			}
			line = max(line, sent)
			for range segments {
				line += rtt / 8
				timeout := 200*ms + rtt
				for try := 0; r.Float64() < loss; try++ {
					if try == 0 {
						line += rtt
						continue
					}
					line += timeout
					timeout *= 2
				}
			}
			if !yield(line+rtt/2, packetbuf.Video) {
				return
			}
		}
	}
}

// traces are the networks and publishers of which none may be called silent.
func traces(seed uint64) map[string]trace {
	stream := uint64(0)
	source := func() *rand.Rand { stream++; return rand.New(rand.NewPCG(seed, stream)) }
	between := func(r *rand.Rand, hi time.Duration) time.Duration { return time.Duration(r.Int64N(int64(hi))) }
	screen, rate, jitter, leaps := source(), source(), source(), source()
	return map[string]trace{
		"steady 30 fps": every(constant(time.Second/30), none),
		"screen, 5 fps": every(constant(200*ms), func(time.Duration) time.Duration { return between(screen, 20*ms) }),
		"variable rate": every(func() time.Duration {
			return []time.Duration{16 * ms, 33 * ms, 100 * ms, 500 * ms, 900 * ms}[rate.IntN(5)]
		}, none),
		"jitter 300 ms": every(constant(time.Second/30), func(time.Duration) time.Duration { return between(jitter, 300*ms) }),
		"bursts of 2 s": every(constant(time.Second/30), func(sent time.Duration) time.Duration { return 2*time.Second - sent%(2*time.Second) }),
		"bursts of 6 s": every(constant(time.Second/30), func(sent time.Duration) time.Duration { return 6*time.Second - sent%(6*time.Second) }),
		"5 % loss":      lossyTCP(source(), 0.05, 60*ms),
		"10 % loss":     lossyTCP(source(), 0.10, 60*ms),
		"15 % loss":     lossyTCP(source(), 0.15, 60*ms),
		"latency leaps": every(constant(time.Second/30), func(sent time.Duration) time.Duration { return 100*ms + 900*ms*(sent/(40*time.Second)%2) }),
		"slow to begin": every(slowly(), none),
		"leaps, jittery": every(constant(time.Second/30), func(sent time.Duration) time.Duration {
			return 900*ms*(sent/(40*time.Second)%2) + between(leaps, 100*ms)
		}),
	}
}

// slowly yields ever shorter periods from 2 s to 33 ms.
func slowly() func() time.Duration {
	p := 2 * time.Second
	return func() time.Duration { p = max(33*ms, p*3/4); return p }
}

// run feeds a trace until end and asks at every deadline; it returns the verdicts.
// A verdict after the ceiling is left out while the trace runs: nobody is waited for longer,
// whatever his line, and on a line that loses 15 % TCP now and then stalls for half a minute.
func run(w *Watchdog, tr trace, end time.Duration) (silent []time.Duration, late int) {
	now, was := epoch, Waiting
	ask := func(until time.Time) {
		for next := w.Next(now); !next.IsZero() && next.Before(until); next = w.Next(now) {
			now = next
			v := w.Check(now)
			if v == Silent && was != Silent && (w.Quiet(now) < ceiling || until.Sub(epoch) > end) {
				silent = append(silent, now.Sub(epoch))
			}
			if v == Late && was != Late {
				late++
			}
			was = v
		}
		now = until
	}
	for at, track := range tr {
		if at > end {
			break
		}
		ask(epoch.Add(at))
		w.Media(now, track)
		was = Fine
	}
	ask(epoch.Add(end + time.Minute))
	return silent, late
}

func TestNoFalseVerdictInAnHour(t *testing.T) {
	for seed := range uint64(3) {
		for name, tr := range traces(seed) {
			w := New(Config{FirstMedia: 10 * time.Second}, epoch)
			silent, late := run(w, tr, time.Hour)
			if len(silent) == 0 {
				t.Errorf("%s, seed %d: the end of the trace was not noticed", name, seed)
				continue
			}
			// The trace ends after an hour; the one verdict that is right falls after that.
			wrong := silent[:len(silent)-1]
			allowed := 0
			if name == "bursts of 6 s" {
				allowed = 2 // the first burst tells nothing, the second is a break, from then on it is the rhythm
			}
			if len(wrong) > allowed {
				t.Errorf("%s, seed %d: false verdicts at %v", name, seed, wrong)
			}
			if last := silent[len(silent)-1]; last < time.Hour-ceiling {
				t.Errorf("%s, seed %d: last verdict at %v", name, seed, last)
			}
			if name == "steady 30 fps" && late > 1 {
				t.Errorf("a steady push was suspect %d times", late)
			}
		}
	}
}

func TestHangIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		period, within time.Duration
	}{
		"30 fps": {time.Second / 30, 1500 * ms},
		"60 fps": {time.Second / 60, 1500 * ms},
		"5 fps":  {200 * ms, 2 * time.Second},
	} {
		w := New(Config{}, epoch)
		at := 20 * time.Second
		silent, late := run(w, every(constant(c.period), none), at)
		if len(silent) != 1 || silent[0]-at > c.within || late != 1 {
			t.Errorf("%s: verdicts at %v after %d suspicions, the hang was at %v", name, silent, late, at)
		}
	}
}

func TestFixedSilence(t *testing.T) {
	w := New(Config{Silence: 4 * time.Second}, epoch)
	w.Media(epoch, packetbuf.Video)
	if got := w.Check(epoch.Add(4*time.Second - 1)); got != Late {
		t.Errorf("just before: %v", got)
	}
	if got := w.Check(epoch.Add(4 * time.Second)); got != Silent {
		t.Errorf("at 4s: %v", got)
	}
}

func TestFirstMedia(t *testing.T) {
	w := New(Config{FirstMedia: 10 * time.Second}, epoch)
	if got := w.Next(epoch); !got.Equal(epoch.Add(10 * time.Second)) {
		t.Errorf("asks at %v", got)
	}
	if got := w.Check(epoch.Add(9 * time.Second)); got != Waiting {
		t.Errorf("at 9s: %v", got)
	}
	if got := w.Check(epoch.Add(10 * time.Second)); got != Never {
		t.Errorf("at 10s: %v", got)
	}
	w.Media(epoch.Add(9*time.Second), packetbuf.Audio)
	if got := w.Check(epoch.Add(9*time.Second + 100*ms)); got != Fine {
		t.Errorf("after media: %v", got)
	}
}

func TestOneTrackSilent(t *testing.T) {
	w := New(Config{}, epoch)
	now := epoch
	for i := range 1000 { // 20 s; video stops after 10
		now = epoch.Add(time.Duration(i) * 20 * ms)
		w.Media(now, packetbuf.Audio)
		if i < 500 {
			w.Media(now, packetbuf.Video)
		}
		quiet := now.Sub(epoch) - 499*20*ms
		if w.TrackSilent(now, packetbuf.Video) != (quiet >= w.trackSilence(packetbuf.Video)) {
			t.Fatalf("video, quiet for %v: silent %v", quiet, w.TrackSilent(now, packetbuf.Video))
		}
		if w.TrackSilent(now, packetbuf.Audio) || w.Check(now) != Fine {
			t.Fatal("audio goes on, and the session with it")
		}
	}
	if got := w.trackSilence(packetbuf.Video); got < 3*time.Second || got > 3100*ms {
		t.Errorf("a steady track is given %v", got)
	}
	if w.TrackSilent(now.Add(time.Minute), packetbuf.Video) {
		t.Error("when all is silent no track is silent by itself")
	}
}

func TestRoundTripGivesTime(t *testing.T) {
	w := New(Config{}, epoch)
	for i := range 300 {
		w.Media(epoch.Add(time.Duration(i)*33*ms), packetbuf.Video)
	}
	before := w.silence()
	w.RoundTrip(300*ms, 100*ms)
	if got := w.silence() - before; got != 700*ms {
		t.Errorf("the verdict moved by %v", got)
	}
}

func TestOneBreakTeachesNothing(t *testing.T) {
	w := New(Config{}, epoch)
	now := epoch
	for range 600 {
		now = now.Add(33 * ms)
		w.Media(now, packetbuf.Video)
	}
	usual := w.silence()
	now = now.Add(5 * time.Second)
	w.Media(now, packetbuf.Video)
	if got := w.silence(); got > usual {
		t.Errorf("after a break of 5s it waits %v, before %v", got, usual)
	}
	now = now.Add(5 * time.Second)
	w.Media(now, packetbuf.Video)
	if got := w.silence(); got < 5*time.Second {
		t.Errorf("after breaks of 5s again and again it waits %v", got)
	}
}
