package pacing

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var writeHeartbeats = flag.Bool("write-heartbeats", false, "write testdata/heartbeat/lines.txt anew")

func TestHeartbeat(t *testing.T) {
	var h Heartbeat
	if h.Every() != 5*time.Second || h.Wait() != HeartbeatLeast {
		t.Fatalf("initially: got interval %v, wait %v", h.Every(), h.Wait())
	}
	last := h.Every()
	for range 40 { // a good connection
		h.Answered(40 * time.Millisecond)
		if h.Every() < last || h.Every() > HeartbeatMost {
			t.Fatalf("got interval %v after %v", h.Every(), last)
		}
		last = h.Every()
	}
	if last != HeartbeatMost {
		t.Errorf("connection that has long been good: got interval %v", last)
	}
	if srtt, rttvar := h.RTT(); srtt != 40*time.Millisecond || rttvar > time.Millisecond {
		t.Errorf("got round trip %v, deviation %v", srtt, rttvar)
	}
	waits := h.Wait()
	for range 8 { // it breaks
		h.Missed()
		if h.Every() != HeartbeatLeast || h.Wait() < waits || h.Wait() > HeartbeatMost {
			t.Fatalf("missed: got interval %v, wait %v after %v", h.Every(), h.Wait(), waits)
		}
		waits = h.Wait()
	}
	h.Answered(40 * time.Millisecond)
	if h.Every() > 5*time.Second || h.Wait() != HeartbeatLeast {
		t.Errorf("back: got interval %v, wait %v", h.Every(), h.Wait())
	}
	far := Heartbeat{}
	far.Answered(800 * time.Millisecond)
	far.Missed()
	if far.Every() != 3200*time.Millisecond || far.Wait() != 3400*time.Millisecond {
		t.Errorf("long round trip: got interval %v, wait %v", far.Every(), far.Wait())
	}
	fixed := Heartbeat{Fixed: 7 * time.Second}
	fixed.Answered(time.Millisecond)
	fixed.Missed()
	if fixed.Every() != 7*time.Second || fixed.Wait() != 7*time.Second {
		t.Errorf("fixed: got interval %v, wait %v", fixed.Every(), fixed.Wait())
	}
	player := Heartbeat{Most: 15 * time.Second}
	for range 40 {
		player.Answered(time.Millisecond)
	}
	if player.Every() != 15*time.Second {
		t.Errorf("bounded: got interval %v", player.Every())
	}
}

// FuzzHeartbeat checks that the bounds hold for any answers.
func FuzzHeartbeat(f *testing.F) {
	f.Add([]byte{1, 2, 0, 0, 255, 3}, uint8(15))
	f.Fuzz(func(t *testing.T, line []byte, most uint8) {
		h := Heartbeat{Most: time.Duration(max(most, 2)) * time.Second}
		for _, b := range line {
			if b == 0 {
				h.Missed()
			} else {
				h.Answered(time.Duration(b) * time.Duration(b) * 100 * time.Microsecond)
			}
			if h.Every() < HeartbeatLeast || h.Every() > h.Most || h.Wait() < HeartbeatLeast || h.Wait() > h.Most {
				t.Fatalf("got interval %v, wait %v, want at most %v", h.Every(), h.Wait(), h.Most)
			}
		}
	})
}

// wireline is a TCP connection that loses a share of segments in each direction. A lost segment is
// sent again after a timeout that doubles (RFC 6298, with Linux's minimum of 0.2 s).
type wireline struct {
	r      *rand.Rand
	loss   float64
	rtt    time.Duration
	jitter time.Duration
}

// answer returns the time from a heartbeat to its answer.
func (w *wireline) answer() time.Duration {
	d := w.rtt + time.Duration(w.r.ExpFloat64()*float64(w.jitter))
	for range 2 {
		for timeout := w.rtt + 200*time.Millisecond; w.r.Float64() < w.loss; timeout *= 2 {
			d += timeout
		}
	}
	return d
}

// patience is the number of consecutive missed answers after which the peer counts as gone.
const patience = 3

// runHeartbeats sends heartbeats from at until the peer counts as gone, or until end. The connection is cut at
// cut: nothing in flight then arrives.
func runHeartbeats(h *Heartbeat, w *wireline, at, cut, end time.Duration, each func(at, every time.Duration)) (gone time.Duration, beats int) {
	for missed := 0; at < end; {
		beats++
		took, wait := w.answer(), h.Wait()
		if took > wait || at+took >= cut {
			h.Missed()
			if at, missed = at+wait, missed+1; missed == patience {
				return at, beats
			}
			continue
		}
		h.Answered(took)
		missed = 0
		at += max(h.Every(), took)
		if each != nil {
			each(at, h.Every())
		}
	}
	return end, beats
}

// TestHeartbeatOnLines measures, on connections with loss, how often heartbeats are sent, how soon a
// cut is detected and how often one is detected falsely, in comparison with heartbeats every ten seconds.
func TestHeartbeatOnLines(t *testing.T) {
	const hours, cuts, never = 20, 400, 1000 * time.Hour
	var out strings.Builder
	fmt.Fprintf(&out, "%-6s %-8s | %-30s | %s\n", "loss", "RTT", "by the line", "every 10 s")
	fmt.Fprintf(&out, "%-6s %-8s | %8s %10s %10s | %10s %10s\n", "", "", "interval", "found", "false/h", "found", "false/h")
	for _, loss := range []float64{0, 0.05, 0.15} {
		for _, rtt := range []time.Duration{20, 80, 300, 800} {
			rtt *= time.Millisecond
			var found, interval [2]time.Duration
			var wrong [2]int
			for i, fixed := range []time.Duration{0, 10 * time.Second} {
				w := &wireline{rand.New(rand.NewPCG(1, uint64(rtt))), loss, rtt, rtt / 20}
				beats := 0
				for at := time.Duration(0); at < hours*time.Hour; {
					h := Heartbeat{Fixed: fixed}
					gone, n := runHeartbeats(&h, w, at, never, hours*time.Hour, nil)
					if beats += n; gone < hours*time.Hour {
						wrong[i]++
					}
					at = gone
				}
				interval[i] = hours * time.Hour / time.Duration(beats)
				for n := range cuts {
					h := Heartbeat{Fixed: fixed}
					cut := 10*time.Minute + time.Duration(n)*97*time.Millisecond
					gone := time.Duration(0)
					for gone < cut { // false detections are counted above
						gone, _ = runHeartbeats(&h, w, gone, cut, never, nil)
					}
					found[i] += (gone - cut) / cuts
				}
			}
			fmt.Fprintf(&out, "%-6s %-8v | %8s %10s %10.2f | %10s %10.2f\n", fmt.Sprintf("%.0f %%", 100*loss), rtt,
				seconds(interval[0]), seconds(found[0]), float64(wrong[0])/hours, seconds(found[1]), float64(wrong[1])/hours)
			if found[0] >= found[1] || wrong[0] > wrong[1]+hours/4 {
				t.Errorf("loss %v, %v: got detection after %v and %v, %d and %d false", loss, rtt, found[0], found[1], wrong[0], wrong[1])
			}
			if loss == 0 && interval[0] < 25*time.Second || loss == 0.15 && interval[0] > 10*time.Second {
				t.Errorf("loss %v, %v: got an interval of %v", loss, rtt, interval[0])
			}
		}
	}
	fmt.Fprintf(&out, "\nA line of 80 ms that is good for ten minutes, loses 15 %% for five, and is good again:\n")
	plotIntervals(&out)
	file := filepath.Join("testdata", "heartbeat", "lines.txt")
	if *writeHeartbeats {
		if err := os.WriteFile(file, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != out.String() {
		t.Errorf("%v: got other than %s:\n%s", err, file, out.String())
	}
}

// plotIntervals draws the interval over time.
func plotIntervals(out *strings.Builder) {
	w := &wireline{rand.New(rand.NewPCG(1, 2)), 0, 80 * time.Millisecond, 4 * time.Millisecond}
	h := Heartbeat{}
	shown := -time.Minute
	_, _ = runHeartbeats(&h, w, 0, 1000*time.Hour, 25*time.Minute, func(at, every time.Duration) {
		w.loss = 0
		if at > 10*time.Minute && at < 15*time.Minute {
			w.loss = 0.15
		}
		if at-shown >= 30*time.Second {
			shown = at
			fmt.Fprintf(out, "%6s %6s %s\n", seconds(at), seconds(every), strings.Repeat("#", int(every/time.Second)))
		}
	})
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
