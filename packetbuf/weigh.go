package packetbuf

import "time"

// Weights holds the payload bytes of a part of a stream, by the kinds of packets that a route can drop.
type Weights struct {
	Key, Delta, Disposable, Audio int
	GOPs                          int
	Span                          time.Duration // of DTS
}

// Weigh returns the weights of the complete GOPs that begin within window of the live edge, or of the
// newest complete GOP if none does. If the ring holds only one GOP, Weigh counts what has arrived of it.
// Weigh counts neither filler nor bridged audio, which no route sends.
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
		w.addPacket(r.slots[r.slot(seq)])
	}
	return w
}

func (w *Weights) addPacket(p *Packet) {
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
