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
	dts = Nearest(dts, r.newest)
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

// Nearest returns the time nearest to ref whose low 32 bits in milliseconds are those of dts: timestamps of
// RTMP and FLV have no more.
func Nearest(dts, ref time.Duration) time.Duration {
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
	// Epoch is that of the newest keyframe of video that the viewer had before; 0: it had none.
	Epoch uint32
	// Sound is the newest sound, the stream's own and bridged, that the ring does not have any
	// more; nil where there was none.
	Sound [2]*Packet
}

// Trail returns the way to the packet of sequence seq of a viewer who came at sequence since;
// ok is false where the packet has left the ring. It begins at the newest random-access point
// that stands back or more before the packet, or the oldest that the viewer has come past;
// where the ring has lost the head of the only GOP, at its oldest packet.
func (r *Ring) Trail(seq, since uint64, back time.Duration) (t Trail, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if seq < r.tail || seq >= r.head {
		return Trail{}, false
	}
	t.Cursor, t.Configs, t.Sound = Cursor{ring: r, next: r.tail}, r.base, r.lostSound
	starts := r.gops.items[r.gops.first:]
	i := sort.Search(len(starts), func(i int) bool { return starts[i].start > seq }) - 1
	dts := r.slots[r.slot(seq)].DTS - back
	for i > 0 && starts[i-1].start >= since && r.slots[r.slot(starts[i].start)].DTS > dts {
		i--
	}
	if i >= 0 {
		t.Cursor.next, t.Configs = starts[i].start, starts[i].config
	}
	if since <= r.lostKey {
		t.Epoch = r.lostEpoch
	}
	for i--; i >= 0 && starts[i].start >= since; i-- {
		if p := r.slots[r.slot(starts[i].start)]; p.Track == Video {
			t.Epoch = p.Epoch
			break
		}
	}
	return t, true
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
