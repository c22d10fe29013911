package policy

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestLadderNeverPanics looks at arbitrary lines, with arbitrary offers, on arbitrary ladders.
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
			found := len(all) == 1 && all[0].Rate <= 0 // of nothing known it stays where it stood
			for _, s := range all {
				found = found || s == c.Step
			}
			if !found {
				t.Fatalf("%+v is none of %+v", c.Step, all)
			}
			if c.Share < leastShare || c.Share > mostShare {
				t.Fatalf("a share of %v", c.Share)
			}
			if c.Changed && c.Reason.Cause == "" {
				t.Fatal("a change without a reason")
			}
		}
	})
}

// checkSteps checks that levels rise, and that of the steps that can be taken each takes less
// than the one above.
func checkSteps(t *rapid.T, all []Step) {
	for i := range all {
		if i > 0 && all[i].Level < all[i-1].Level {
			t.Fatalf("level %d below %d", all[i].Level, all[i-1].Level)
		}
		for j := range i {
			if all[i].usable() && all[j].usable() && all[i].Rate >= all[j].Rate && all[i].Rate > 0 {
				t.Fatalf("%+v takes as much as %+v", all[i], all[j])
			}
		}
	}
}

// TestLadderIsPatient has a line come and go at will: a step up comes no sooner after any
// other step than patience says, and patience grows with steps up that fail.
func TestLadderIsPatient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := NewLadder([]Place{{Rung: Full}, {Rung: DropDisposable}, {Rung: Trim}, {Rung: Keyframes}, {Rung: Audio}})
		l.Begin(epoch, []Offer{whole}, 0)
		now, changed, level, lag := epoch, epoch, 0, 0
		for range 400 {
			now = now.Add(250 * time.Millisecond)
			lag = min(max(lag+rapid.IntRange(-600, 500).Draw(t, "more lag"), 0), 5000)
			c := l.Step(now, Line{Lag: time.Duration(lag) * time.Millisecond, Rate: 1e6, Limited: lag > 500}, []Offer{whole})
			patience := l.patience() // after a step up that has proved itself, the least
			if patience < climbAfter || patience > climbMost {
				t.Fatalf("a patience of %v", patience)
			}
			if c.Step.Level < level && now.Sub(changed) < patience {
				t.Fatalf("up from %d to %d %v after the last step", level, c.Step.Level, now.Sub(changed))
			}
			if c.Changed != (c.Step.Level != level) {
				t.Fatalf("changed: %v from %d to %d", c.Changed, level, c.Step.Level)
			}
			if c.Changed {
				level, changed = c.Step.Level, now
			}
		}
	})
}

// TestLadderLosesPatience has a line that carries no step up: they come ever later.
func TestLadderLosesPatience(t *testing.T) {
	c := newClimber(t, "full keyframes", whole)
	var ups []time.Time
	for range 600 {
		line := Line{}
		if c.at.Rung == Full {
			line.Lag = 1500 * time.Millisecond
		}
		c.now = c.now.Add(250 * time.Millisecond)
		if got := c.Step(c.now, line, c.offers); got.Changed && got.Step.Rung == Full {
			ups = append(ups, c.now)
		}
	}
	for i := 2; i < len(ups); i++ {
		if a, b := ups[i-1].Sub(ups[i-2]), ups[i].Sub(ups[i-1]); b < a || b > climbMost+time.Second {
			t.Errorf("tried again after %v, and then after %v", a, b)
		}
	}
	if n := len(ups); n < 8 || n > 14 {
		t.Errorf("tried %d times in 150 s", n)
	}
}
