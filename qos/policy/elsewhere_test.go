package policy

import (
	"testing"
	"time"
)

// TestElsewhere has one line die, which takes the ladder down; the next connection goes over
// another, and begins at the top, or where that one's history says.
func TestElsewhere(t *testing.T) {
	now := time.Unix(0, 0)
	offers := []Offer{{Rates: Rates{Key: 500_000, Delta: 1_200_000, Disposable: 700_000, Audio: 100_000, Keyframe: 1_000_000}, Ready: true}}
	places := []Place{{Rung: Full}, {Rung: DropDisposable}, {Rung: Keyframes}, {Rung: Audio}}
	down := func() *Ladder {
		l := NewLadder(places)
		l.Begin(now, offers, 0)
		l.Step(now, Line{}, offers)
		for i := range 20 {
			at := now.Add(time.Duration(i) * 250 * time.Millisecond)
			l.Step(at, Line{Lag: time.Duration(i) * 250 * time.Millisecond, Rate: 1000, Limited: true}, offers)
		}
		if l.at.Rung == Full {
			t.Fatal("a dead line leaves the ladder at the top")
		}
		return l
	}
	now = now.Add(time.Minute)
	if c := down().Begin(now, offers, 0); c.Step.Rung == Full {
		t.Error("the same line begins at the top again")
	}
	if c := down().Elsewhere(now, offers, 0); c.Step.Rung != Full || !c.Changed || c.Reason.Cause != CauseHistory {
		t.Errorf("another line: %+v", c)
	}
	if c := down().Elsewhere(now, offers, 2_200_000); c.Step.Rung != DropDisposable || !c.Changed {
		t.Errorf("another line that is known to be narrow: %+v", c)
	}
	l := down()
	l.Force(&Place{Rung: Keyframes})
	l.Step(now, Line{}, offers)
	if c := l.Elsewhere(now, offers, 0); c.Step.Rung != Keyframes || c.Changed {
		t.Errorf("another line at a forced rung: %+v", c)
	}
}
