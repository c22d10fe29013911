package route

import (
	"slices"
	"testing"

	"github.com/holdfast-live/holdfast/qos"
)

// TestTallies checks that each configured route has a tally from the start. The tally of a removed route
// is hidden, and continues if the route is configured again.
func TestTallies(t *testing.T) {
	to := func(names ...string) (out []Route) {
		for _, n := range names {
			out = append(out, Route{Name: n})
		}
		return out
	}
	r := &Routes{groups: []Group{{Name: "cdn", Routes: to("a", "b")}, {Name: "origin", Routes: to("a")}}}
	r.tallies.add("cdn", "b", &qos.Sample{Segments: 100, Resent: 3})
	r.tallies.add("cdn", "b", &qos.Sample{Segments: 10})
	want := []Tally{{Group: "cdn", Route: "a"}, {Group: "cdn", Route: "b", Segments: 110, Resent: 3}, {Group: "origin", Route: "a"}}
	if got := r.Tallies(); !slices.Equal(got, want) {
		t.Errorf("got %+v, want all routes", got)
	}
	was := r.groups
	r.groups = was[1:]
	if got := r.Tallies(); !slices.Equal(got, want[2:]) {
		t.Errorf("got %+v, want the origin's only", got)
	}
	r.groups = was
	if got := r.Tallies(); !slices.Equal(got, want) {
		t.Errorf("got %+v, want all routes again", got)
	}
}
