package app

import (
	"net/netip"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// mostUnknown is for how many streams that are not there the plays of one address may wait at a time: for
// each an origin may be asked.
const mostUnknown = 16

// unknownNames bounds the streams that are not there and plays wait for, by the viewers' address.
type unknownNames struct {
	shared func(netip.Addr) bool // whose addresses stand for many viewers

	mu      sync.Mutex                    // guards waiting
	waiting map[netip.Addr]map[string]int // plays, by stream
}

// enter counts a play of a stream until leave, or refuses it. remote is the viewer's host:port.
func (u *unknownNames) enter(remote, stream string) (leave func(), err error) {
	at, err := netip.ParseAddrPort(remote)
	if addr := at.Addr().Unmap(); err == nil && (u.shared == nil || !u.shared(addr)) {
		addr = ingest.Network(addr)
		u.mu.Lock()
		defer u.mu.Unlock()
		names := u.waiting[addr]
		if names[stream] == 0 && len(names) >= mostUnknown {
			return nil, &ingest.Refusal{
				NotLive: true, Reason: "this address waits for as many streams that are not live as it may",
				Hint: "try again when they have come, or in a moment", RetryAfter: 2 * time.Second,
			}
		}
		if u.waiting == nil {
			u.waiting = map[netip.Addr]map[string]int{}
		}
		if names == nil {
			names = map[string]int{}
			u.waiting[addr] = names
		}
		names[stream]++
		return func() {
			u.mu.Lock()
			defer u.mu.Unlock()
			if names[stream]--; names[stream] == 0 {
				delete(names, stream)
			}
			if len(names) == 0 {
				delete(u.waiting, addr)
			}
		}, nil
	}
	return func() {}, nil
}
