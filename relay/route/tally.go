package route

import (
	"sync"

	"github.com/holdfast-live/holdfast/qos"
)

// Tally counts the TCP segments of a route over all streams, and how many of them were
// retransmitted. The counts are 0 if the operating system does not report them.
type Tally struct {
	Group, Route     string
	Segments, Resent uint64
}

type tallyKey struct{ group, route string }

type tallies struct {
	mu sync.Mutex // guards of
	of map[tallyKey]Tally
}

func (t *tallies) add(group, route string, s *qos.Sample) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[tallyKey]Tally{}
	}
	n := t.of[tallyKey{group, route}]
	n.Segments += s.Segments
	n.Resent += s.Resent
	t.of[tallyKey{group, route}] = n
}

// Tallies returns an entry for each route of the groups in force.
func (r *Routes) Tallies() []Tally {
	groups := r.Groups()
	r.tallies.mu.Lock()
	defer r.tallies.mu.Unlock()
	var out []Tally
	for i := range groups {
		for _, to := range groups[i].Routes {
			n := r.tallies.of[tallyKey{groups[i].Name, to.Name}]
			n.Group, n.Route = groups[i].Name, to.Name
			out = append(out, n)
		}
	}
	return out
}
