package packetbuf

import "time"

// Weights is what a stretch of a stream consists of, in bytes of payload, by what a route
// could leave out.
type Weights struct {
	Key, Delta, Disposable, Audio int
	GOPs                          int
	Span                          time.Duration // of DTS
}

// Weigh looks at the newest whole GOPs, as many as begin within window of the live edge and at
// least one; where there is only one, at what there is of it. What was made while the publisher
// was away does not count, nor does bridged sound, which no route carries.
func (r *Ring) Weigh(window time.Duration) Weights {
	r.mu.RLock()
	defer r.mu.RUnlock()
	n := r.gops.len()
	if n == 0 {
		return Weights{}
	}
	gops := r.gops.items[r.gops.first:]
	first := max(n-2, 0)
	for first > 0 && r.newest-r.slots[r.slot(gops[first-1].start)].DTS <= window {
		first--
	}
	start, end := gops[first].start, r.head
	w := Weights{GOPs: 1}
	w.Span = r.newest - r.slots[r.slot(start)].DTS
	if n > 1 {
		end, w.GOPs = gops[n-1].start, n-1-first
		w.Span = r.slots[r.slot(end)].DTS - r.slots[r.slot(start)].DTS
	}
	for seq := start; seq < end; seq++ {
		w.add(r.slots[r.slot(seq)])
	}
	return w
}

func (w *Weights) add(p *Packet) {
	switch {
	case !p.Media() || p.Flags&(Filler|Bridged) != 0:
	case p.Track == Audio:
		w.Audio += len(p.Payload)
	case p.Kind == Key:
		w.Key += len(p.Payload)
	case p.Kind == Disposable:
		w.Disposable += len(p.Payload)
	default:
		w.Delta += len(p.Payload)
	}
}
