package rtcsock

import (
	"io"
	"strconv"
	"sync"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v4/packetio"
)

// Limits of one peer in addition to its media.
const (
	maxStreams   = 64 // RTP and RTCP streams, by SSRC
	maxAddresses = 64 // addresses from which its checks arrive
	// Unread bytes of one stream.
	maxUnreadRTP  = 1 << 20
	maxUnreadRTCP = 100 << 10
)

// bounds limits what a peer makes the relay keep: a stream for each SSRC in its packets, declared
// or not, and each address from which its checks arrive. A peer that exceeds a limit is closed.
type bounds struct {
	closePeer func() // closes the peer; it does not wait

	mu        sync.Mutex // guards the fields below
	streams   int
	addresses map[string]struct{}
	ended     bool
}

// newBuffer returns the buffer of a new stream. If there are too many streams, it closes the peer.
func (b *bounds) newBuffer(kind packetio.BufferPacketType, _ uint32) io.ReadWriteCloser {
	b.mu.Lock()
	b.streams++
	over := b.streams > maxStreams
	b.mu.Unlock()
	out := packetio.NewBuffer()
	switch {
	case over:
		out.SetLimitSize(1)
		b.closeOnce()
	case kind == packetio.RTPBufferPacket:
		out.SetLimitSize(maxUnreadRTP)
	default:
		out.SetLimitSize(maxUnreadRTCP)
	}
	return out
}

// countAddress counts the addresses from which connectivity checks arrive. It returns false, which
// leaves the choice of the candidate pair to ICE.
func (b *bounds) countAddress(_ *stun.Message, _, remote ice.Candidate, _ *ice.CandidatePair) bool {
	at := remote.Address() + ":" + strconv.Itoa(remote.Port())
	b.mu.Lock()
	if b.addresses == nil {
		b.addresses = map[string]struct{}{}
	}
	b.addresses[at] = struct{}{}
	over := len(b.addresses) > maxAddresses
	b.mu.Unlock()
	if over {
		b.closeOnce()
	}
	return false
}

// closeOnce closes the peer, once.
func (b *bounds) closeOnce() {
	b.mu.Lock()
	first := !b.ended
	b.ended = true
	b.mu.Unlock()
	if first {
		go b.closePeer() // Close must not run within the peer's callback
	}
}
