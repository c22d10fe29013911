package policy

import (
	"testing"
	"time"
)

func TestCeilingFollowsTheBestRoute(t *testing.T) {
	var c Ceiling
	now := time.Unix(0, 0)
	short := []Carried{{Capacity: 1e6}, {Capacity: 2e6}}
	for range 3 {
		if r := c.Step(now, 4e6, short); r.Cause != "" {
			t.Fatalf("asked at once: %v", r)
		}
		now = now.Add(time.Second)
	}
	if r := c.Step(now, 4e6, short); r.Cause != CauseLag || c.Bits() != fits*2e6 {
		t.Fatalf("got %v, %v; want what the better route carries", r, c.Bits())
	}
	// One route that carries everything is enough; the ceiling goes up until it is of no use.
	steps := 0
	for ; c.Bits() > 0 && steps < 100; steps++ {
		now = now.Add(raiseEvery)
		if r := c.Step(now, 1.8e6, []Carried{{Full: true}, {Capacity: 1e6}}); r.Cause != CauseClimb {
			t.Fatalf("did not rise: %v", r)
		}
	}
	if steps < 3 || steps > 20 {
		t.Errorf("the ceiling was gone after %d steps", steps)
	}
}

func TestCeilingAsksForNothingWithoutRoutesOrKnowledge(t *testing.T) {
	var c Ceiling
	now := time.Unix(0, 0)
	for range 20 {
		c.Step(now, 4e6, nil)
		c.Step(now, 4e6, []Carried{{}})
		now = now.Add(time.Second)
	}
	if c.Bits() != 0 {
		t.Errorf("it asks for %v", c.Bits())
	}
}

func TestCeilingHasAFloor(t *testing.T) {
	var c Ceiling
	now := time.Unix(0, 0)
	for range 10 {
		c.Step(now, 4e6, []Carried{{Capacity: 1000}})
		now = now.Add(time.Second)
	}
	if c.Bits() != leastCeiling {
		t.Errorf("it asks for %v", c.Bits())
	}
}
