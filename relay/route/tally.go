package route

import (
	"sync"

	"github.com/holdfast-live/holdfast/qos"
)

// Tally counts the TCP segments of a route, all streams together, and how many of them were
// sent again. They stay 0 where the system does not tell.
type Tally struct {
	Group, Route     string
	Segments, Resent uint64
}

type leg struct{ group, route string }

type tallies struct {
	mu sync.Mutex // guards of
	of map[leg]Tally
}

func (t *tallies) add(group, route string, s *qos.Sample) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[leg]Tally{}
	}
	n := t.of[leg{group, route}]
	n.Segments += s.Segments
	n.Resent += s.Resent
	t.of[leg{group, route}] = n
}

// Tallies has an entry for each route of the groups in force.
func (r *Routes) Tallies() []Tally {
	groups := r.Groups()
	r.tallies.mu.Lock()
	defer r.tallies.mu.Unlock()
	var out []Tally
	for i := range groups {
		for _, to := range groups[i].Routes {
			n := r.tallies.of[leg{groups[i].Name, to.Name}]
			n.Group, n.Route = groups[i].Name, to.Name
			out = append(out, n)
		}
	}
	return out
}
