package route

import (
	"fmt"
	"testing"
	"time"
)

// TestBringsAgreesWithWant checks two groups that match a stream: the first has no room, the second may
// already carry the stream.
func TestBringsAgreesWithWant(t *testing.T) {
	first, second := pullGroup(nil, "a:1935"), pullGroup(nil, "b:1935")
	second.Name = "second"
	waiting := func(g Group) *runner { return &runner{group: g, started: time.Now(), allFailed: make(chan struct{})} }
	for _, c := range []struct {
		name string
		at   runnerKey
		want bool
	}{
		{"the second group carries it", runnerKey{"cam/one", "second"}, true},
		{"no group carries it", runnerKey{"cam/other", "second"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &Routes{groups: []Group{first, second}, runners: map[runnerKey]*runner{c.at: waiting(second)}}
			for i := range maxUnreached - 1 {
				r.runners[runnerKey{fmt.Sprintf("cam/none%d", i), "origin"}] = waiting(first)
			}
			if _, ok := r.Want("cam/one"); ok != c.want {
				t.Fatalf("Want: got %v, want %v", ok, c.want)
			}
			if got := r.Brings("cam/one"); got != c.want {
				t.Errorf("Brings: got %v, want %v as Want", got, c.want)
			}
		})
	}
}
