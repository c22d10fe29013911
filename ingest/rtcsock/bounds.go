package rtcsock

import (
	"io"
	"strconv"
	"sync"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v4/packetio"
)

// Bounds of what one peer may take beside its media.
const (
	maxStreams   = 64 // of RTP and RTCP, by their SSRC
	maxAddresses = 64 // from which its checks come
	// What waits to be read of one stream, in bytes.
	rtpWaiting  = 1 << 20
	rtcpWaiting = 100 << 10
)

// bounds count what a peer has the relay keep: a stream for each SSRC that its packets name,
// declared or not, and an address for each place from which it checks. One that goes beyond is
// ended.
type bounds struct {
	end func() // ends the peer; it does not wait

	mu        sync.Mutex // guards what follows
	streams   int
	addresses map[string]struct{}
	ended     bool
}

// buffer makes the buffer of one stream.
func (b *bounds) buffer(kind packetio.BufferPacketType, _ uint32) io.ReadWriteCloser {
	b.mu.Lock()
	b.streams++
	over := b.streams > maxStreams
	b.mu.Unlock()
	out := packetio.NewBuffer()
	switch {
	case over:
		out.SetLimitSize(1)
		b.exceed()
	case kind == packetio.RTPBufferPacket:
		out.SetLimitSize(rtpWaiting)
	default:
		out.SetLimitSize(rtcpWaiting)
	}
	return out
}

// check sees each connectivity check. It leaves to ICE what comes of it.
func (b *bounds) check(_ *stun.Message, _, remote ice.Candidate, _ *ice.CandidatePair) bool {
	at := remote.Address() + ":" + strconv.Itoa(remote.Port())
	b.mu.Lock()
	if b.addresses == nil {
		b.addresses = map[string]struct{}{}
	}
	b.addresses[at] = struct{}{}
	over := len(b.addresses) > maxAddresses
	b.mu.Unlock()
	if over {
		b.exceed()
	}
	return false
}

// exceed ends the peer, once.
func (b *bounds) exceed() {
	b.mu.Lock()
	first := !b.ended
	b.ended = true
	b.mu.Unlock()
	if first {
		go b.end() // the peer is in the middle of something
	}
}
