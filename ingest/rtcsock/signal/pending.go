package signal

import (
	"net/netip"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// Limits of sessions that have an answer but no connection yet. An offer costs a client one packet,
// but costs the relay memory and an answer. The limit per address is high, because many viewers may
// share one.
const (
	maxPending     = 1024
	maxPendingFrom = 256
)

// pending counts sessions that are being set up.
type pending struct {
	mu            sync.Mutex // guards the fields below
	total         int
	perAddress    map[netip.Addr]int
	maxTotal      int
	maxPerAddress int
}

func newPending() *pending {
	return &pending{perAddress: map[netip.Addr]int{}, maxTotal: maxPending, maxPerAddress: maxPendingFrom}
}

// enter counts a session from an address. It returns false if there are too many. leave removes the
// session again; it may be called repeatedly.
func (p *pending) enter(remote string) (leave func(), ok bool) {
	at := clientNetwork(remote)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.total >= p.maxTotal || p.perAddress[at] >= p.maxPerAddress {
		return nil, false
	}
	p.total++
	p.perAddress[at]++
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.total--
		if p.perAddress[at]--; p.perAddress[at] == 0 {
			delete(p.perAddress, at)
		}
	}), true
}

// setup is one session's entry in pending.
type setup struct {
	pending *pending
	remote  string

	mu   sync.Mutex // guards the fields below
	done func()
	left bool
}

// enter counts the session, or returns a *Refusal if there are too many. If leave was called
// before, the session is not counted.
func (s *setup) enter() error {
	done, ok := s.pending.enter(s.remote)
	if !ok {
		return &Refusal{
			Outcome: ingest.RefusedLimit, Reason: "too many sessions are being set up", Hint: "try again in a moment", RetryAfter: 2 * time.Second,
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done = done; s.left {
		done()
	}
	return nil
}

// leave stops counting the session. It may be called repeatedly, from any goroutine.
func (s *setup) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left = true; s.done != nil {
		s.done()
	}
}

// clientNetwork returns the address that identifies a client: an IPv4 address, or a /64 of IPv6.
func clientNetwork(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	a := at.Addr().Unmap().WithZone("")
	if a.Is4() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
