package admission

import (
	"net/netip"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// maxAbsent is how many different nonexistent streams the viewers of one address may wait for at a
// time. It is limited because an origin may be asked for each of them.
const maxAbsent = 16

// absentStreams limits, for each address, the nonexistent streams that its viewers wait for.
type absentStreams struct {
	shared func(netip.Addr) bool // reports whether many viewers share an address; may be nil

	mu      sync.Mutex                    // guards waiting
	waiting map[netip.Addr]map[string]int // number of viewers, by address and stream
}

// enter counts a viewer that waits for a stream, until leave is called. It refuses the viewer if its
// address waits for too many streams. remote is the viewer's host:port.
func (a *absentStreams) enter(remote, stream string) (leave func(), err error) {
	at, err := netip.ParseAddrPort(remote)
	if addr := at.Addr().Unmap(); err == nil && (a.shared == nil || !a.shared(addr)) {
		addr = ingest.Network(addr)
		a.mu.Lock()
		defer a.mu.Unlock()
		names := a.waiting[addr]
		if names[stream] == 0 && len(names) >= maxAbsent {
			return nil, &ingest.Refusal{
				NotLive: true, Reason: "this address waits for too many streams that are not live",
				Hint: "try again when they are live, or in a moment", RetryAfter: 2 * time.Second,
			}
		}
		if a.waiting == nil {
			a.waiting = map[netip.Addr]map[string]int{}
		}
		if names == nil {
			names = map[string]int{}
			a.waiting[addr] = names
		}
		names[stream]++
		return func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			if names[stream]--; names[stream] == 0 {
				delete(names, stream)
			}
			if len(names) == 0 {
				delete(a.waiting, addr)
			}
		}, nil
	}
	return func() {}, nil
}
