package packetbuf

import (
	"sort"
	"time"
)

// wrap is the range of FLV's and RTMP's timestamps.
const wrap = 1 << 32 * time.Millisecond

// Find returns the sequence number of the media packet of track tr whose DTS is dts. With bridged
// set it searches the bridged audio, else the publisher's own media. ok is false if there is no
// such packet. Only the low 32 bits of dts in milliseconds count: Find takes the time nearest to
// the live edge that has them.
//
// Find is a binary search, because DTS rises strictly within a track. It takes longer only where
// packets of the track are far apart.
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

// Nearest returns the time nearest to ref whose low 32 bits in milliseconds are those of dts.
// Timestamps of RTMP and FLV have only these 32 bits.
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

// Trail is the start of a replay that reaches a packet in the state of a viewer that read up to it.
type Trail struct {
	Cursor  Cursor
	Configs Configs // in force at Cursor
	// Epoch is the epoch of the newest video keyframe before Cursor that the viewer has had; 0 if
	// the viewer has had none.
	Epoch uint32
	// Sound holds the newest audio packets that have left the ring: the publisher's own and
	// bridged audio; nil for none.
	Sound [2]*Packet
}

// Trail returns the start of a replay that reaches the packet with sequence number seq, for a
// viewer that joined at sequence number since. ok is false if the packet has left the ring.
// The replay starts at the newest random-access point at least back before the packet, but not
// before the oldest one that the viewer has had. If the ring has lost the start of its only GOP,
// the replay starts at the oldest packet.
func (r *Ring) Trail(seq, since uint64, back time.Duration) (t Trail, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if seq < r.tail || seq >= r.head {
		return Trail{}, false
	}
	t.Cursor, t.Configs, t.Sound = Cursor{ring: r, next: r.tail}, r.base, r.lostAudio
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

// Behind returns the cursor's arrival lag: how long before the newest packet the next packet
// arrived. It is 0 at the live edge and when overrun.
func (c *Cursor) Behind() time.Duration {
	r := c.ring
	r.mu.RLock()
	defer r.mu.RUnlock()
	if c.next >= r.head || c.next < r.tail {
		return 0
	}
	return max(0, r.latest.Sub(r.slots[r.slot(c.next)].Arrived))
}

// From moves the cursor to the packet with sequence number seq, which Read returns next.
func (c *Cursor) From(seq uint64) { c.next = seq }
