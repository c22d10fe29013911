package packetbuf

import (
	"errors"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/budget"
)

// Errors of a ring and its cursors.
var (
	// ErrNoKeyframe means that the ring holds no random-access point to start from.
	ErrNoKeyframe = errors.New("no random-access point in the buffer")
	// ErrOverrun means that the cursor's next packet has left the ring.
	ErrOverrun = errors.New("cursor overrun: the packet has left the buffer")
)

// Limits are the limits of a ring's content. Both apply; zero means no limit.
type Limits struct {
	Duration time.Duration // from the DTS of the oldest packet to that of the newest
	// Bytes limits the total size of Payload and Beside, plus Overhead for each packet. It does not
	// include the shared wire forms, of which each packet may have one per protocol.
	Bytes int
}

// Overhead is the approximate memory in bytes that a packet takes in addition to its payload. It counts
// towards the limits because nothing else bounds the number of data messages of a few bytes, which do
// not advance the clock.
const Overhead = 256

// Configs holds the decoder configuration in force for each track, and at index BridgedAudio that of
// bridged audio; nil means none.
type Configs [NumTracks + 1]*Packet

// Ring holds the newest GOPs of one stream. One goroutine adds packets; any number of goroutines read
// concurrently through cursors.
//
// It evicts whole GOPs, oldest first. The newest GOP stays unless it alone exceeds the limits, as with
// intra refresh or endless GOPs. It then loses its oldest packets one by one, and new viewers have to
// wait for the next random-access point.
type Ring struct {
	mu     sync.RWMutex // guards all fields below
	limits Limits
	slots  []*Packet // a power of two long; the packet with sequence number s is at s & (len-1)
	head   uint64    // sequence number of the next packet
	tail   uint64    // sequence number of the oldest packet held
	bytes  int       // of payloads and Beside
	gops   gopQueue
	points recoveryPoints
	config Configs // in force at head
	base   Configs // in force at tail, without those that Forget has removed
	// lostKey is the sequence number of the newest evicted video keyframe, lostEpoch its epoch.
	lostKey   uint64
	lostEpoch uint32
	// lostAudio is the newest evicted audio: the publisher's own and bridged.
	lostAudio [2]*Packet
	// forgotten is the head at the last Forget of each index of Configs.
	forgotten [len(Configs{})]uint64
	newest    time.Duration
	latest    time.Time       // arrival of the newest packet
	account   *budget.Account // of all that the ring holds, including wire forms; nil if it is not counted
}

// gop is a GOP in the ring, given by its random-access point, at which a viewer can start.
type gop struct {
	start  uint64 // sequence number of its key packet
	config Configs
}

// NewRing returns an empty ring. Sequence numbers start at 1, so that 0 is before every packet.
func NewRing(l Limits) *Ring {
	return &Ring{limits: l, slots: make([]*Packet, 256), head: 1, tail: 1}
}

// Charge opens an account of b for the ring's content, and limits the ring to the account's share. It
// must be called before the first Add. Discharge must be called when the ring is no longer used.
func (r *Ring) Charge(b *budget.Budget) { r.account = b.Open(budget.Packets, r.shrink) }

// Discharge closes the account that Charge opened.
func (r *Ring) Discharge() { r.account.Close() }

// shrink evicts at once what exceeds the ring's share of the budget, without waiting for the next Add.
func (r *Ring) shrink() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trim()
	r.account.Set(r.held())
}

// SetLimits changes the limits; they take effect at the next Add.
func (r *Ring) SetLimits(l Limits) {
	r.mu.Lock()
	r.limits = l
	r.mu.Unlock()
}

// Add adds p at the live edge, sets its sequence number and evicts old packets that exceed the limits.
// p must not be changed afterwards.
func (r *Ring) Add(p *Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.head-r.tail == uint64(len(r.slots)) {
		r.grow()
	}
	p.Seq, p.account = r.head, r.account
	r.slots[r.slot(r.head)] = p
	r.head++
	r.bytes += p.size()
	switch {
	case p.Kind == Config:
		r.config[p.slot()] = p
	case p.Kind == Key && !p.Bridged(): // a stream with bridged audio has the publisher's own too
		r.gops.push(gop{start: p.Seq, config: r.config})
	}
	r.points.add(p, r.config)
	if p.Media() {
		r.newest = max(r.newest, p.DTS)
	}
	r.latest = p.Arrived
	r.trim()
	r.account.Set(r.held())
}

// held returns the size of the ring's content in bytes, with Overhead but without wire forms.
func (r *Ring) held() int { return r.bytes + Overhead*int(r.head-r.tail) } //nolint:gosec // bounded by the slots

func (r *Ring) slot(seq uint64) uint64 { return seq & uint64(len(r.slots)-1) } //nolint:gosec // a power of two

func (r *Ring) grow() {
	bigger := make([]*Packet, 2*len(r.slots))
	for s := r.tail; s < r.head; s++ {
		bigger[s&uint64(len(bigger)-1)] = r.slots[r.slot(s)] //nolint:gosec // a power of two
	}
	r.slots = bigger
}

// trim evicts GOPs until the ring is within its limits. From the last GOP it evicts single packets.
func (r *Ring) trim() {
	for r.overLimits() {
		if r.gops.len() > 1 {
			r.gops.pop()
			r.evictTo(r.gops.front().start)
			continue
		}
		if r.head-r.tail <= 1 {
			return // the newest packet stays, whatever its size
		}
		if r.gops.len() == 1 && r.gops.front().start <= r.tail {
			r.gops.pop() // a viewer cannot start at a GOP that has lost its key packet
		}
		r.evictTo(r.tail + 1)
	}
}

func (r *Ring) overLimits() bool {
	if r.tail == r.head {
		return false
	}
	held := r.held()
	if r.limits.Bytes > 0 && held > r.limits.Bytes || int64(held+r.account.Extra()) > r.account.Share() {
		return true
	}
	return r.limits.Duration > 0 && r.newest-r.slots[r.slot(r.tail)].DTS > r.limits.Duration
}

func (r *Ring) evictTo(seq uint64) {
	for ; r.tail < seq; r.tail++ {
		i := r.slot(r.tail)
		r.recordEvicted(r.slots[i])
		r.slots[i].dropWires()
		r.bytes -= r.slots[i].size()
		r.slots[i] = nil
	}
	r.points.dropTo(seq)
}

// recordEvicted keeps what Trail needs to know of an evicted packet.
func (r *Ring) recordEvicted(p *Packet) {
	switch {
	case p.Kind == Config:
		if p.Seq >= r.forgotten[p.slot()] {
			r.base[p.slot()] = p
		}
	case p.Track == Video:
		if p.Kind == Key {
			r.lostKey, r.lostEpoch = p.Seq, p.Epoch
		}
	case p.Track == Audio:
		bridged := 0
		if p.Bridged() {
			bridged = 1
		}
		r.lostAudio[bridged] = p
	}
}

// Join returns a cursor at the newest random-access point and the configuration in force there. It
// returns ErrNoKeyframe if the ring holds no random-access point.
func (r *Ring) Join() (Cursor, Configs, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.gops.len() == 0 {
		return Cursor{}, Configs{}, ErrNoKeyframe
	}
	g := r.gops.back()
	return Cursor{ring: r, next: g.start}, g.config, nil
}

// Back returns a cursor at the random-access point from which the packet with sequence number seq can
// be decoded, and the configuration in force there. If that point has left the ring, Back uses the
// oldest random-access point. It returns ErrNoKeyframe if the ring holds none.
func (r *Ring) Back(seq uint64) (Cursor, Configs, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.gops.len() == 0 {
		return Cursor{}, Configs{}, ErrNoKeyframe
	}
	g := r.gops.front()
	for i := r.gops.first; i < len(r.gops.items) && r.gops.items[i].start <= seq; i++ {
		g = &r.gops.items[i]
	}
	return Cursor{ring: r, next: g.start}, g.config, nil
}

// Live returns a cursor at the live edge, after the newest packet, and the configuration in force there.
func (r *Ring) Live() (Cursor, Configs) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return Cursor{ring: r, next: r.head}, r.config
}

// Forget removes the configuration at an index of Configs, which is a Track or BridgedAudio, from those
// in force. Viewers that join later do not receive it.
func (r *Ring) Forget(slot int) {
	r.mu.Lock()
	r.config[slot], r.base[slot], r.forgotten[slot] = nil, nil, r.head
	r.mu.Unlock()
}

// Stats describes the content of a ring.
type Stats struct {
	Packets, GOPs, Bytes int           // Bytes is the size of Payload and Beside, without Overhead
	Oldest, Newest       time.Duration // DTS of the oldest packet and of the newest media
	Head                 uint64        // sequence number of the next packet
}

// Stats returns a description of the ring's current content.
func (r *Ring) Stats() Stats {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := Stats{
		Packets: int(r.head - r.tail), GOPs: r.gops.len(), Bytes: r.bytes, //nolint:gosec // bounded by the slots
		Oldest: r.newest, Newest: r.newest, Head: r.head,
	}
	if r.tail < r.head {
		s.Oldest = r.slots[r.slot(r.tail)].DTS
	}
	return s
}

// gopQueue is a FIFO queue that reuses its memory.
type gopQueue struct {
	items []gop
	first int
}

func (q *gopQueue) len() int    { return len(q.items) - q.first }
func (q *gopQueue) front() *gop { return &q.items[q.first] }
func (q *gopQueue) back() *gop  { return &q.items[len(q.items)-1] }

// push moves the items to the start of their memory only when at least half of it is free;
// otherwise a queue that is nearly full would be moved at each push.
func (q *gopQueue) push(g gop) {
	if len(q.items) == cap(q.items) && q.first > 0 && q.first >= cap(q.items)/2 {
		n := copy(q.items, q.items[q.first:])
		clear(q.items[n:])
		q.items, q.first = q.items[:n], 0
	}
	q.items = append(q.items, g)
}

func (q *gopQueue) pop() {
	q.items[q.first] = gop{}
	q.first++
	if q.first == len(q.items) {
		q.items, q.first = q.items[:0], 0
	}
}
