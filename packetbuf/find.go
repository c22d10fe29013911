package packetbuf

import (
	"sort"
	"time"
)

// wrap is the range of FLV and RTMP timestamps.
const wrap = 1 << 32 * time.Millisecond

// Find returns the sequence number of the media packet of track tr with decode time dts. If bridged is
// set it searches the bridged audio, otherwise the publisher's own media. ok is false if the ring holds
// no such packet. Only the low 32 bits of dts in milliseconds are used; Find extends them to the time
// nearest to the live edge.
//
// Find is a binary search, because DTS rises strictly within a track. It is slower only if packets of
// the track are far apart in the ring.
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

// Nearest extends a timestamp of RTMP or FLV, which has only 32 bits of milliseconds. It returns the time
// nearest to ref that equals dts modulo 2^32 ms.
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

// Trail is the start of a replay for a viewer that resumes at a packet. A replay from there reaches the
// packet in the same state as a viewer that has read up to it without interruption.
type Trail struct {
	Cursor  Cursor
	Configs Configs // in force at Cursor
	// Epoch is the Packet.Epoch of the newest video keyframe before Cursor that the viewer received; 0 if
	// it received none.
	Epoch uint32
	// Sound holds the newest audio packets that have left the ring: the publisher's own at index 0 and
	// bridged audio at index 1. An entry is nil if no such packet has left.
	Sound [2]*Packet
}

// Trail returns the start of a replay that reaches the packet with sequence number seq, for a viewer
// that joined at sequence number since. ok is false if the ring does not hold that packet.
//
// The replay starts at the newest random-access point that precedes the packet by at least the
// duration back, but not before the oldest random-access point that the viewer received. If the ring
// has lost the start of its only GOP, the replay starts at the oldest packet.
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

// Behind returns the cursor's arrival lag: the time from the arrival of its next packet to that of the
// newest packet. It is 0 at the live edge and if the cursor is overrun.
func (c *Cursor) Behind() time.Duration {
	r := c.ring
	r.mu.RLock()
	defer r.mu.RUnlock()
	if c.next >= r.head || c.next < r.tail {
		return 0
	}
	return max(0, r.latest.Sub(r.slots[r.slot(c.next)].Arrived))
}

// From moves the cursor to the packet with sequence number seq, which Read will return first.
func (c *Cursor) From(seq uint64) { c.next = seq }
