package ingest

import "net/netip"

// slotQueue is a list of slots, oldest first. Slots.mu guards it.
type slotQueue struct{ first, last *heldSlot }

func (q *slotQueue) push(h *heldSlot) {
	h.queue, h.prev = q, q.last
	if q.last != nil {
		q.last.next = h
	} else {
		q.first = h
	}
	q.last = h
}

// dequeue removes h from its queue, if it is in one.
func (h *heldSlot) dequeue() {
	q := h.queue
	if q == nil {
		return
	}
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		q.first = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	} else {
		q.last = h.prev
	}
	h.queue, h.prev, h.next = nil, nil, nil
}

// oldestOfBusiest returns the oldest slot of the address that has the most slots in the queue, or
// nil if the queue is empty.
func (q *slotQueue) oldestOfBusiest() *heldSlot {
	type share struct {
		oldest *heldSlot
		n      int
	}
	by := map[netip.Addr]*share{}
	var most *share
	for h := q.first; h != nil; h = h.next {
		s := by[h.addr]
		if s == nil {
			s = &share{oldest: h}
			by[h.addr] = s
		}
		if s.n++; most == nil || s.n > most.n {
			most = s
		}
	}
	if most == nil {
		return nil
	}
	return most.oldest
}
