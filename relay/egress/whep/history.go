package whep

import (
	"sync"
	"time"
)

const (
	// kept is how many packets a viewer's history has: a power of two, and about three seconds
	// of 2.5 Mb/s.
	kept = 1024
	// again is how long after it was sent a packet is not sent again.
	again = 10 * time.Millisecond
	// repeats is how often one packet is sent again.
	repeats = 8
	// share is how much of what is sent may be sent again, over the last packets: a viewer whose
	// line loses more than that is not helped by more.
	share = 2
)

// history is what was sent to one viewer: where the shared payload of each packet stands.
type history struct {
	mu     sync.Mutex // guards what follows
	sent   [kept]sentPacket
	next   uint16 // sequence number of the next packet
	credit int    // packets that may be sent again
}

type sentPacket struct {
	payload []byte // shared
	ts      uint32
	seq     uint16
	marker  bool
	times   uint8
	at      time.Time
}

// add notes a packet and gives it its sequence number.
func (h *history) add(now time.Time, payload []byte, ts uint32, marker bool) uint16 {
	h.mu.Lock()
	defer h.mu.Unlock()
	seq := h.next
	h.sent[seq%kept] = sentPacket{payload: payload, ts: ts, seq: seq, marker: marker, at: now}
	h.next++
	h.credit = min(h.credit+share, kept)
	return seq
}

// repeat finds a packet that is to be sent again; ok is false where it has been forgotten, was
// sent a moment ago or too often.
func (h *history) repeat(now time.Time, seq uint16) (p sentPacket, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &h.sent[seq%kept]
	if s.payload == nil || s.seq != seq || now.Sub(s.at) < again || s.times >= repeats || h.credit == 0 {
		return sentPacket{}, false
	}
	s.times++
	s.at = now
	h.credit--
	return *s, true
}
