package ingest

import "net/netip"

// queue is slots in the order in which they came to it. Slots.mu guards it.
type queue struct{ first, last *held }

func (q *queue) push(h *held) {
	h.in, h.prev = q, q.last
	if q.last != nil {
		q.last.next = h
	} else {
		q.first = h
	}
	q.last = h
}

// dequeue takes h out of its queue, if it is in one.
func (h *held) dequeue() {
	q := h.in
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
	h.in, h.prev, h.next = nil, nil, nil
}

// ofMost is the oldest of the address that has the most in the queue; nil where it is empty.
func (q *queue) ofMost() *held {
	type share struct {
		oldest *held
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
