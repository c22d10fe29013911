package packetbuf

import "time"

// Cursor is a viewer's position in a ring. It holds no lock, and the ring does not wait for it.
// A Cursor must be used by one goroutine only; the zero Cursor is not usable.
type Cursor struct {
	ring *Ring
	next uint64 // sequence of the packet to read next
}

// Next returns the sequence number of the packet that Read returns first.
func (c *Cursor) Next() uint64 { return c.next }

// Read copies the next packets into dst and advances the cursor past them. It returns 0, nil
// at the live edge and 0, ErrOverrun when the next packet has left the ring.
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

// Lag returns how far the cursor is behind the live edge in media time: 0 at the edge, the
// length of the whole buffer when overrun.
func (c *Cursor) Lag() time.Duration {
	r := c.ring
	r.mu.RLock()
	defer r.mu.RUnlock()
	if c.next >= r.head || r.tail == r.head {
		return 0
	}
	return max(0, r.newest-r.slots[r.slot(max(c.next, r.tail))].DTS)
}

// Skip moves the cursor to the newest random-access point and returns the configuration in force
// there. If no random-access point is ahead, it returns false and does not move.
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

// Follow is Read for a viewer that must not fall behind by more than lag; a lag of 0 means no
// limit but the ring's own. If the cursor is overrun or further behind than lag, and the newest
// random-access point is ahead, Follow first moves there, sets skipped and returns the
// configuration in force there. It returns ErrOverrun if the cursor is overrun and no such point
// is ahead.
//
// The distance to the live edge is counted in arrival times, not in media time: a publisher that
// delivers ten seconds at once, after a stall, makes no viewer slow.
//
// Follow is one call because thousands of viewers make it at each wake-up.
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
