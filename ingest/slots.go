package ingest

import (
	"net"
	"net/netip"
	"sync"
)

// Slots counts connections against a bound in all and one per address. Servers may
// share it.
type Slots struct {
	total, perAddress int // 0: no bound
	shared            func(netip.Addr) bool

	mu      sync.Mutex // guards what follows
	used    int
	refused int // connections past the bound that are being told so
	from    map[netip.Addr]int
}

// NewSlots returns Slots for total connections, perAddress of them from one address; 0
// is no bound.
func NewSlots(total, perAddress int) *Slots {
	return &Slots{total: total, perAddress: perAddress, from: map[netip.Addr]int{}}
}

// Share says which addresses stand for many peers, such as those of trusted proxies: the
// bound per address is not for them. It must be called before the first connection.
func (s *Slots) Share(shared func(netip.Addr) bool) { s.shared = shared }

// bounded tells whether the bound per address is for an address.
func (s *Slots) bounded(a netip.Addr) bool {
	return s.perAddress > 0 && (s.shared == nil || !s.shared(a))
}

// Used is the number of connections that hold a slot.
func (s *Slots) Used() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// toldAtOnce is how many refused connections may be told so at the same time. What
// comes beyond is closed without a word: saying no must not be the way to exhaust us.
const toldAtOnce = 64

// Slot is what a connection got. It is given back by Release.
type Slot struct {
	of      *Slots
	addr    netip.Addr
	counted bool // against the bound per address
	// Refusal says which bound was met; the connection may stay to be told.
	Refusal string
}

// Take gives a connection a slot. It returns false when it must be closed at once.
func (s *Slots) Take(remote net.Addr) (Slot, bool) {
	sl := Slot{of: s, addr: addressOf(remote)}
	sl.counted = s.bounded(sl.addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.total > 0 && s.used >= s.total:
		sl.Refusal = "the relay has as many connections as it may"
	case sl.counted && s.from[sl.addr] >= s.perAddress:
		sl.Refusal = "this address has as many connections as it may"
	}
	if sl.Refusal != "" {
		if s.refused >= toldAtOnce {
			return sl, false
		}
		s.refused++
		return sl, true
	}
	s.used++
	if sl.counted {
		s.from[sl.addr]++
	}
	return sl, true
}

// Release gives the slot back, once.
func (sl Slot) Release() {
	s := sl.of
	s.mu.Lock()
	defer s.mu.Unlock()
	if sl.Refusal != "" {
		s.refused--
		return
	}
	s.used--
	if sl.counted {
		if s.from[sl.addr]--; s.from[sl.addr] <= 0 {
			delete(s.from, sl.addr)
		}
	}
}

// addressOf is the peer's IP address; the zero Addr where there is none.
func addressOf(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// TakeAddr is Take for a peer that has no connection of its own, such as one whose media
// comes over a socket that all share.
func (s *Slots) TakeAddr(remote netip.AddrPort) (Slot, bool) {
	return s.Take(net.TCPAddrFromAddrPort(remote))
}
