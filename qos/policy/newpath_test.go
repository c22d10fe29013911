package policy

import (
	"testing"
	"time"
)

// TestElsewhere makes a network path fail, which takes the ladder down. The next connection takes
// another path, and begins at the top or at the step for that path's capacity.
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
		if l.step.Rung == Full {
			t.Fatal("got the top of the ladder on a dead path, want a lower step")
		}
		return l
	}
	now = now.Add(time.Minute)
	if c := down().Begin(now, offers, 0); c.Step.Rung == Full {
		t.Error("the same path: got the top of the ladder, want a lower step")
	}
	if c := down().Elsewhere(now, offers, 0); c.Step.Rung != Full || !c.Changed || c.Reason.Cause != CauseHistory {
		t.Errorf("another path: got %+v, want the top of the ladder", c)
	}
	if c := down().Elsewhere(now, offers, 2_200_000); c.Step.Rung != DropDisposable || !c.Changed {
		t.Errorf("another path with a low known capacity: got %+v, want a lower step", c)
	}
	l := down()
	l.Force(&Place{Rung: Keyframes})
	l.Step(now, Line{}, offers)
	if c := l.Elsewhere(now, offers, 0); c.Step.Rung != Keyframes || c.Changed {
		t.Errorf("another path at a forced rung: got %+v, want that rung", c)
	}
}
