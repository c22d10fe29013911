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
			t.Fatalf("within shortFor: got %v, want no change", r)
		}
		now = now.Add(time.Second)
	}
	if r := c.Step(now, 4e6, short); r.Cause != CauseLag || c.Bits() != usableCapacity*2e6 {
		t.Fatalf("got %v, %v, want the capacity of the better route", r, c.Bits())
	}
	// One route that carries the whole stream suffices; the ceiling rises until it is dropped.
	steps := 0
	for ; c.Bits() > 0 && steps < 100; steps++ {
		now = now.Add(raiseEvery)
		if r := c.Step(now, 1.8e6, []Carried{{Full: true}, {Capacity: 1e6}}); r.Cause != CauseClimb {
			t.Fatalf("got %v, want a rise", r)
		}
	}
	if steps < 3 || steps > 20 {
		t.Errorf("got no ceiling after %d steps", steps)
	}
}

func TestNoCeilingWithoutRoutesOrCapacity(t *testing.T) {
	var c Ceiling
	now := time.Unix(0, 0)
	for range 20 {
		c.Step(now, 4e6, nil)
		c.Step(now, 4e6, []Carried{{}})
		now = now.Add(time.Second)
	}
	if c.Bits() != 0 {
		t.Errorf("got ceiling %v, want none", c.Bits())
	}
}

func TestCeilingHasAFloor(t *testing.T) {
	var c Ceiling
	now := time.Unix(0, 0)
	for range 10 {
		c.Step(now, 4e6, []Carried{{Capacity: 1000}})
		now = now.Add(time.Second)
	}
	if c.Bits() != minCeiling {
		t.Errorf("got ceiling %v, want the lowest", c.Bits())
	}
}
