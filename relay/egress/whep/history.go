package whep

import (
	"sync"
	"time"
)

const (
	// videoHistory and audioHistory are the numbers of packets in a history, which are powers of
	// two: about three seconds at 2.5 Mb/s, and five seconds of audio.
	videoHistory, audioHistory = 1024, 256
	// minRepeatInterval is the minimum interval between two repeats of a packet.
	minRepeatInterval = 10 * time.Millisecond
	// maxRepeats is the maximum number of times that one packet is repeated.
	maxRepeats = 8
	// creditPerPacket is how many repeats are allowed per sent packet, and maxCredit is how many
	// unused repeats may accumulate. If a viewer's connection loses more packets than that, repeats
	// do not help.
	creditPerPacket = 2
	maxCredit       = 1024
)

// history holds the last packets of one track that were sent to one viewer. The payloads are shared
// by all viewers.
type history struct {
	start time.Time

	mu     sync.Mutex // guards the fields below
	sent   []sentPacket
	next   uint16 // sequence number of the next packet
	credit int    // number of repeats allowed
}

// sentPacket is a packet in a history. Tens of thousands exist per hundred viewers, so its size
// matters.
type sentPacket struct {
	payload  []byte // shared by all viewers
	repeated int32  // time of the last repeat, in ms since history.start
	ts       uint32
	seq      uint16
	times    uint8 // number of repeats
	marker   bool
}

func newHistory(now time.Time, kept int, first uint16) history {
	return history{start: now, sent: make([]sentPacket, kept), next: first}
}

// slot returns the slot of a sequence number.
func (h *history) slot(seq uint16) *sentPacket { return &h.sent[int(seq)&(len(h.sent)-1)] }

// add records a packet and returns its sequence number.
func (h *history) add(payload []byte, ts uint32, marker bool) uint16 {
	h.mu.Lock()
	defer h.mu.Unlock()
	seq := h.next
	*h.slot(seq) = sentPacket{payload: payload, ts: ts, seq: seq, marker: marker}
	h.next++
	h.credit = min(h.credit+creditPerPacket, maxCredit)
	return seq
}

// repeat returns a packet that is to be repeated at time now. ok is false if the packet has left
// the history, was repeated too recently or too often, or if there is no credit.
func (h *history) repeat(now time.Time, seq uint16) (p sentPacket, ok bool) {
	ms := int32(now.Sub(h.start) / time.Millisecond) //nolint:gosec // lasts for a session of 24 days; after that repeats may be delayed
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.slot(seq)
	early := s.times > 0 && ms-s.repeated < int32(minRepeatInterval/time.Millisecond)
	if s.payload == nil || s.seq != seq || early || s.times >= maxRepeats || h.credit == 0 {
		return sentPacket{}, false
	}
	s.times++
	s.repeated = ms
	h.credit--
	return *s, true
}
