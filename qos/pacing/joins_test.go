package pacing

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// maxPerSecond returns the largest number of times within any one second.
func maxPerSecond(times []time.Time) (n int) {
	slices.SortFunc(times, time.Time.Compare)
	for i, j := 0, 0; i < len(times); i++ {
		for times[i].Sub(times[j]) >= time.Second {
			j++
		}
		n = max(n, i-j+1)
	}
	return n
}

// However viewers arrive, no second has more joins of a kind than allowed, no viewer waits longer than
// the bound, and a lone viewer does not wait.
func TestJoinsArePaced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var j Joins
		rate := rapid.IntRange(1, 200).Draw(t, "rate")
		j.SetRate(rate)
		now := time.Unix(1000, 0)
		var resumed, began []time.Time
		for range rapid.IntRange(1, 40).Draw(t, "crowds") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "later")) * time.Millisecond)
			resumes := rapid.Bool().Draw(t, "resumes")
			for range rapid.IntRange(1, 400).Draw(t, "crowd") {
				turn := j.Ask(now, resumes, rapid.Float64Range(0, 0.999).Draw(t, "chance"))
				switch {
				case turn.OK && (turn.Wait < 0 || turn.Wait > joinPatience):
					t.Fatalf("got a wait of %v", turn.Wait)
				case !turn.OK && (turn.Wait <= joinPatience || turn.Wait > joinMaxAway*3/2):
					t.Fatalf("got sent away for %v", turn.Wait)
				case turn.OK && resumes:
					resumed = append(resumed, now.Add(turn.Wait))
				case turn.OK:
					began = append(began, now.Add(turn.Wait))
				}
			}
		}
		bound := rate + rate/10 + 2
		if n := maxPerSecond(resumed); n > bound {
			t.Fatalf("got %d resuming joins in a second, want at most a rate of %d", n, rate)
		}
		if n := maxPerSecond(began); n > bound {
			t.Fatalf("got %d new joins in a second, want at most a rate of %d", n, rate)
		}
		if turn := j.Ask(now.Add(joinPatience+2*joinBurst+time.Second/time.Duration(rate)), false, 0); !turn.OK || turn.Wait > 0 {
			t.Fatalf("after a quiet time: got %+v, want no wait", turn)
		}
	})
}

// A thousand viewers that resume at once are admitted within two seconds, before new viewers.
func TestResumedJoinFirst(t *testing.T) {
	var j Joins
	j.SetRate(500)
	now := time.Unix(1000, 0)
	last := time.Duration(0)
	for i := range 1000 {
		turn := j.Ask(now, true, 0)
		if !turn.OK {
			t.Fatalf("join %d: got sent away, want a turn", i)
		}
		last = turn.Wait
	}
	if last < 1800*time.Millisecond || last > 2*time.Second {
		t.Errorf("last resuming join: got a wait of %v", last)
	}
	if turn := j.Ask(now, false, 0); turn.Wait < last {
		t.Errorf("new join behind a thousand resuming ones: got a wait of %v", turn.Wait)
	}
	for range 50 {
		j.Ask(now, true, 0)
	}
	if turn := j.Ask(now, false, 0); turn.OK {
		t.Errorf("new join: got a wait of %v", turn.Wait)
	}
	if turn := j.Ask(now.Add(500*time.Millisecond), false, 0); !turn.OK {
		t.Error("new join half a second later: got sent away, want a turn")
	}
}

// Ten thousand new viewers at once that wait as told come back spread over time.
func TestRejectedJoinsSpread(t *testing.T) {
	var j Joins
	j.SetRate(500)
	rng := rand.New(rand.NewPCG(1, 2))
	start := time.Unix(1000, 0)
	type asker struct {
		at    time.Time
		tries int
	}
	var waiting []asker
	for range 10_000 {
		waiting = append(waiting, asker{at: start})
	}
	worst, end, asked := 0, time.Duration(0), 0
	var all []time.Time
	for len(waiting) > 0 {
		slices.SortStableFunc(waiting, func(a, b asker) int { return a.at.Compare(b.at) })
		a := waiting[0]
		waiting = waiting[1:]
		asked++
		all = append(all, a.at)
		turn := j.Ask(a.at, false, rng.Float64())
		if turn.OK {
			end = max(end, a.at.Add(turn.Wait).Sub(start))
			worst = max(worst, a.tries)
			continue
		}
		wait := (turn.Wait + time.Second - 1).Truncate(time.Second) // as Retry-After expresses it
		waiting = append(waiting, asker{a.at.Add(wait), a.tries + 1})
	}
	t.Logf("all admitted after %v; %d asks, at most %d of one viewer; at most %d in a second", end, asked, worst+1, maxPerSecond(all[10_000:]))
	if end > time.Minute || asked > 30_000 || worst > 6 {
		t.Errorf("got all admitted after %v and %d asks, %d of one, want at most 1m, 30000 and 6", end, asked, worst)
	}
}

func TestNoLimitOfJoins(t *testing.T) {
	var j Joins
	for range 100_000 {
		if turn := j.Ask(time.Unix(1000, 0), false, 0); !turn.OK || turn.Wait > 0 {
			t.Fatalf("got %+v, want a turn at once", turn)
		}
	}
}
