package packetbuf

import (
	"sort"
	"time"
)

// wrap is the range of FLV's and RTMP's timestamps.
const wrap = 1 << 32 * time.Millisecond

// Find returns the sequence of the media packet of a track, of bridged sound or of what stands
// beside it, whose DTS is dts; ok is false where there is none. Of dts the low 32 bits of the
// milliseconds are enough: it is taken for the nearest to the live edge.
//
// DTS rises strictly within a track, so that the search halves what is left. It takes longer
// only where packets of the track are far between.
func (r *Ring) Find(tr Track, bridged bool, dts time.Duration) (seq uint64, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	dts = nearest(dts, r.newest)
	for low, high := r.tail, r.head; low < high; {
		middle := low + (high-low)/2
		p := (*Packet)(nil)
		for s := middle; s < high && p == nil; s++ {
			if q := r.slots[r.slot(s)]; q.Track == tr && q.Media() && q.Bridged() == bridged {
				p = q
			}
		}
		switch {
		case p == nil || p.DTS > dts:
			high = middle
		case p.DTS == dts:
			return p.Seq, true
		default:
			low = p.Seq + 1
		}
	}
	return 0, false
}

// nearest is the time of which dts has the low 32 bits of the milliseconds, where that is
// nearest to ref.
func nearest(dts, ref time.Duration) time.Duration {
	d := (dts - ref) % wrap
	switch {
	case d > wrap/2:
		d -= wrap
	case d < -wrap/2:
		d += wrap
	}
	return ref + d
}

// Trail is where to begin so as to come past a packet as a viewer did that read on from there.
type Trail struct {
	Cursor  Cursor
	Configs Configs // in force there
	// Epoch is that of the pictures that the viewer could decode there already; 0: of none.
	Epoch uint32
}

// Trail returns the way to the packet of sequence seq of a viewer who came at sequence since;
// ok is false where the packet has left the ring. It begins at the newest keyframe that the
// viewer has had. Where it had none, as in a stream without pictures, it begins at the
// newest random-access point, and where the ring has lost the head of the only GOP, at its
// oldest packet.
func (r *Ring) Trail(seq, since uint64) (t Trail, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if seq < r.tail || seq >= r.head {
		return Trail{}, false
	}
	starts := r.gops.items[r.gops.first:]
	n := sort.Search(len(starts), func(i int) bool { return starts[i].start > seq })
	for i := n - 1; i >= 0 && starts[i].start >= since; i-- {
		if r.slots[r.slot(starts[i].start)].Track == Video {
			return Trail{Cursor: Cursor{ring: r, next: starts[i].start}, Configs: starts[i].config}, true
		}
	}
	t = Trail{Cursor: Cursor{ring: r, next: r.tail}, Configs: r.base}
	if n > 0 {
		t = Trail{Cursor: Cursor{ring: r, next: starts[n-1].start}, Configs: starts[n-1].config}
	}
	if since < r.tail { // it has come past keyframes that the ring does not have any more
		t.Epoch = r.pictureBefore(seq)
	}
	return t, true
}

// pictureBefore is the epoch of the newest picture up to seq; 0 if there is none.
func (r *Ring) pictureBefore(seq uint64) uint32 {
	for s := seq + 1; s > r.tail; s-- {
		if p := r.slots[r.slot(s-1)]; p.Track == Video && p.Media() {
			return p.Epoch
		}
	}
	return 0
}

// Behind is how long before the newest packet the one arrived that Read returns next; 0 at the
// live edge, and when overrun.
func (c *Cursor) Behind() time.Duration {
	r := c.ring
	r.mu.RLock()
	defer r.mu.RUnlock()
	if c.next >= r.head || c.next < r.tail {
		return 0
	}
	return max(0, r.latest.Sub(r.slots[r.slot(c.next)].Arrived))
}

// From moves the cursor: Read returns the packet of sequence seq next.
func (c *Cursor) From(seq uint64) { c.next = seq }
