package packetbuf

import "time"

// Cursor is a viewer's position in a ring. It holds no lock, and the ring does not wait for it.
// A Cursor must be used by one goroutine only; the zero Cursor is not usable.
type Cursor struct {
	ring *Ring
	next uint64 // sequence of the packet to read next
}

// Next returns the sequence number of the packet that Read will return first.
func (c *Cursor) Next() uint64 { return c.next }

// Read copies the next packets into dst, advances the cursor past them and returns their number. It
// returns 0, nil at the live edge and 0, ErrOverrun if the next packet has left the ring.
func (c *Cursor) Read(dst []*Packet) (int, error) {
	r := c.ring
	r.mu.RLock()
	defer r.mu.RUnlock()
	if c.next < r.tail {
		return 0, ErrOverrun
	}
	n := 0
	for ; n < len(dst) && c.next < r.head; n++ {
		dst[n] = r.slots[r.slot(c.next)]
		c.next++
	}
	return n, nil
}

// Lag returns how far the cursor is behind the live edge in media time. It is 0 at the live edge and
// the duration of the whole buffer if the cursor is overrun.
func (c *Cursor) Lag() time.Duration {
	r := c.ring
	r.mu.RLock()
	defer r.mu.RUnlock()
	if c.next >= r.head || r.tail == r.head {
		return 0
	}
	return max(0, r.newest-r.slots[r.slot(max(c.next, r.tail))].DTS)
}

// Skip moves the cursor forward to the newest random-access point and returns the configuration in
// force there. If no random-access point is ahead of the cursor, it returns false and does not move.
func (c *Cursor) Skip() (Configs, bool) {
	r := c.ring
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.gops.len() == 0 || r.gops.back().start <= c.next {
		return Configs{}, false
	}
	g := r.gops.back()
	c.next = g.start
	return g.config, true
}

// Follow is like Read, for a viewer that must not fall behind by more than lag; a lag of 0 means no
// limit but the ring's own. If the cursor is overrun or further behind than lag, and the newest
// random-access point is ahead, Follow first moves there. It then sets skipped and returns the
// configuration in force at that point. It returns ErrOverrun if the cursor is overrun and no
// random-access point is ahead.
//
// Follow measures lag in arrival times, not in media time. A publisher that delivers ten seconds at
// once, after a stall, therefore does not make its viewers count as slow.
//
// Follow does all this under one lock because thousands of viewers call it at each wake-up.
func (c *Cursor) Follow(dst []*Packet, lag time.Duration) (n int, configs Configs, skipped bool, err error) {
	r := c.ring
	r.mu.RLock()
	defer r.mu.RUnlock()
	overrun := c.next < r.tail
	if overrun || lag > 0 && c.next < r.head && r.latest.Sub(r.slots[r.slot(c.next)].Arrived) > lag {
		if r.gops.len() > 0 && r.gops.back().start > c.next {
			g := r.gops.back()
			c.next, configs, skipped = g.start, g.config, true
		} else if overrun {
			return 0, Configs{}, false, ErrOverrun
		}
	}
	for ; n < len(dst) && c.next < r.head; n++ {
		dst[n] = r.slots[r.slot(c.next)]
		c.next++
	}
	return n, configs, skipped, nil
}
