package whep

import (
	"sync"
	"time"
)

const (
	// keptVideo and keptAudio are how many packets a history has, powers of two: about three
	// seconds of 2.5 Mb/s, and five of sound.
	keptVideo, keptAudio = 1024, 256
	// again is how long after it was sent again a packet is not sent once more.
	again = 10 * time.Millisecond
	// repeats is how often one packet is sent again.
	repeats = 8
	// share is how many packets may be sent again for each that is sent, and saved is for how
	// many packets that right can be saved up: a viewer whose line loses more than that is not
	// helped by more.
	share = 2
	saved = 1024
)

// history is what was sent of one track to one viewer: where the shared payload of each packet
// stands.
type history struct {
	begun time.Time

	mu     sync.Mutex // guards what follows
	sent   []sentPacket
	next   uint16 // sequence number of the next packet
	credit int    // packets that may be sent again
}

// sentPacket is one of tens of thousands for each hundred viewers: its size matters.
type sentPacket struct {
	payload  []byte // shared
	repeated int32  // when it was last sent again, in ms since the history begun
	ts       uint32
	seq      uint16
	times    uint8 // that it was sent again
	marker   bool
}

func newHistory(now time.Time, kept int, first uint16) history {
	return history{begun: now, sent: make([]sentPacket, kept), next: first}
}

// at is the place of a sequence number.
func (h *history) at(seq uint16) *sentPacket { return &h.sent[int(seq)&(len(h.sent)-1)] }

// add notes a packet and gives it its sequence number.
func (h *history) add(payload []byte, ts uint32, marker bool) uint16 {
	h.mu.Lock()
	defer h.mu.Unlock()
	seq := h.next
	*h.at(seq) = sentPacket{payload: payload, ts: ts, seq: seq, marker: marker}
	h.next++
	h.credit = min(h.credit+share, saved)
	return seq
}

// repeat finds a packet that is to be sent again; ok is false where it has been forgotten, was
// sent again a moment ago or too often.
func (h *history) repeat(now time.Time, seq uint16) (p sentPacket, ok bool) {
	ms := int32(now.Sub(h.begun) / time.Millisecond) //nolint:gosec // a session of 24 days; then repeats come late at the worst
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.at(seq)
	early := s.times > 0 && ms-s.repeated < int32(again/time.Millisecond)
	if s.payload == nil || s.seq != seq || early || s.times >= repeats || h.credit == 0 {
		return sentPacket{}, false
	}
	s.times++
	s.repeated = ms
	h.credit--
	return *s, true
}
