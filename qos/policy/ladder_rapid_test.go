package policy

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestLadderNeverPanics steps arbitrary ladders with arbitrary samples and offers.
func TestLadderNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		place := rapid.Custom(func(t *rapid.T) Place {
			p := Place{Rung: Rung(rapid.IntRange(0, int(numRungs)-1).Draw(t, "rung"))} //nolint:gosec // a handful
			if p.Rung == Rendition {
				p.Name = rapid.SampledFrom([]string{"", "low", "mid"}).Draw(t, "name")
			}
			return p
		})
		rate := rapid.SampledFrom([]float64{0, 0, 1, 5e3, 100e3, 400e3, 2e6, 1e9})
		offer := rapid.Custom(func(t *rapid.T) Offer {
			return Offer{
				Name: rapid.SampledFrom([]string{"", "", "low", "mid", "other"}).Draw(t, "offer"), Ready: rapid.Bool().Draw(t, "ready"),
				Rates: Rates{Key: rate.Draw(t, "key"), Delta: rate.Draw(t, "delta"), Disposable: rate.Draw(t, "disposable"), Audio: rate.Draw(t, "audio"), Keyframe: rate.Draw(t, "keyframe")},
			}
		})
		l := NewLadder(rapid.SliceOfN(place, 0, 8).Draw(t, "places"))
		offers := rapid.SliceOfN(offer, 0, 4)
		now := epoch
		for range 60 {
			now = now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond)
			have := offers.Draw(t, "offers")
			var c Choice
			switch rapid.IntRange(0, 20).Draw(t, "act") {
			case 0:
				c = l.Begin(now, have, rate.Draw(t, "capacity"))
			case 1:
				p := place.Draw(t, "forced")
				l.Force(&p)
				continue
			case 2:
				l.Force(nil)
				continue
			default:
				c = l.Step(now, Line{
					Lag: time.Duration(rapid.IntRange(0, 40000).Draw(t, "lag")) * time.Millisecond, Rate: rate.Draw(t, "rate"), Limited: rapid.Bool().Draw(t, "limited"),
				}, have)
			}
			all := steps(l.places, have)
			checkSteps(t, all)
			found := len(all) == 1 && all[0].Rate <= 0 // with unknown rates the step stays the same
			for _, s := range all {
				found = found || s == c.Step
			}
			if !found {
				t.Fatalf("got step %+v, want one of %+v", c.Step, all)
			}
			if c.Share < minShare || c.Share > maxShare {
				t.Fatalf("got share %v", c.Share)
			}
			if c.Changed && c.Reason.Cause == "" {
				t.Fatal("got a change without a reason")
			}
		}
	})
}

// checkSteps checks that levels rise, and that each usable step has a lower rate than the one above.
func checkSteps(t *rapid.T, all []Step) {
	for i := range all {
		if i > 0 && all[i].Level < all[i-1].Level {
			t.Fatalf("got level %d after %d", all[i].Level, all[i-1].Level)
		}
		for j := range i {
			if all[i].usable() && all[j].usable() && all[i].Rate >= all[j].Rate && all[i].Rate > 0 {
				t.Fatalf("got step %+v below %+v with no lower rate", all[i], all[j])
			}
		}
	}
}

// TestLadderIsPatient varies a connection at random: a step up comes no sooner after another step
// than patience allows, and patience grows with failed steps up.
func TestLadderIsPatient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := NewLadder([]Place{{Rung: Full}, {Rung: DropDisposable}, {Rung: Trim}, {Rung: Keyframes}, {Rung: Audio}})
		l.Begin(epoch, []Offer{whole}, 0)
		now, changed, level, lag := epoch, epoch, 0, 0
		for range 400 {
			now = now.Add(250 * time.Millisecond)
			lag = min(max(lag+rapid.IntRange(-600, 500).Draw(t, "more lag"), 0), 5000)
			c := l.Step(now, Line{Lag: time.Duration(lag) * time.Millisecond, Rate: 1e6, Limited: lag > 500}, []Offer{whole})
			patience := l.patience() // the shortest after a step up that succeeded
			if patience < climbAfter || patience > maxClimbAfter {
				t.Fatalf("got patience %v", patience)
			}
			if c.Step.Level < level && now.Sub(changed) < patience {
				t.Fatalf("got a step up from %d to %d, %v after the last step", level, c.Step.Level, now.Sub(changed))
			}
			if c.Changed != (c.Step.Level != level) {
				t.Fatalf("got changed %v from %d to %d", c.Changed, level, c.Step.Level)
			}
			if c.Changed {
				level, changed = c.Step.Level, now
			}
		}
	})
}

// TestLadderLosesPatience has a connection that carries no step up: steps up become rarer.
func TestLadderLosesPatience(t *testing.T) {
	c := newClimber(t, "full keyframes", whole)
	var ups []time.Time
	for range 600 {
		line := Line{}
		if c.step.Rung == Full {
			line.Lag = 1500 * time.Millisecond
		}
		c.now = c.now.Add(250 * time.Millisecond)
		if got := c.Step(c.now, line, c.offers); got.Changed && got.Step.Rung == Full {
			ups = append(ups, c.now)
		}
	}
	for i := 2; i < len(ups); i++ {
		if a, b := ups[i-1].Sub(ups[i-2]), ups[i].Sub(ups[i-1]); b < a || b > maxClimbAfter+time.Second {
			t.Errorf("got a step up after %v, then one after %v, want longer intervals", a, b)
		}
	}
	if n := len(ups); n < 8 || n > 14 {
		t.Errorf("got %d steps up in 150 s", n)
	}
}
