package ingest

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Slots counts connections against a bound in all and one per address. Servers may
// share it.
//
// A tenth of the slots is kept for publishers. When the others are taken, a connection still gets
// one of them on approval, for as long as it takes to say what it wants: a publisher keeps it, a
// viewer is refused, and one that waits makes room for the next.
type Slots struct {
	total, perAddress int // 0: no bound
	reserve           int // of total, for publishers
	shared            func(netip.Addr) bool

	mu      sync.Mutex // guards what follows
	used    int
	common  int // of used: neither publishers' nor on approval
	refused int // connections past the bound that are being told so
	from    map[netip.Addr]int
	// The oldest first: idle are connections between two requests, waiting those on approval.
	idle, waiting queue
}

// NewSlots returns Slots for total connections, perAddress of them from one address; 0
// is no bound.
func NewSlots(total, perAddress int) *Slots {
	return &Slots{total: total, reserve: total / 10, perAddress: perAddress, from: map[netip.Addr]int{}}
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

// Busiest returns the address that holds the most slots, and how many.
func (s *Slots) Busiest() (addr netip.Addr, slots int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, n := range s.from {
		if n > slots || n == slots && a.Less(addr) {
			addr, slots = a, n
		}
	}
	return addr, slots
}

// toldAtOnce is how many refused connections may be told so at the same time. Further ones are
// closed without an answer: it bounds the cost of rejections.
const toldAtOnce = 64

// allTaken, viewersTaken and addressTaken are the reasons of refusals, for peers and logs.
func (s *Slots) allTaken() string { return fmt.Sprintf("connection limit (%d) reached", s.total) }

func (s *Slots) viewersTaken() string {
	return fmt.Sprintf("viewer limit (%d of %d connections) reached", s.total-s.reserve, s.total)
}

func (s *Slots) addressTaken() string {
	return fmt.Sprintf("limit of connections from one address (%d) reached", s.perAddress)
}

// Hint returns what the operator can do about a refusal of the slot, for the log.
func (sl Slot) Hint() string {
	if sl.byAddress {
		return "limits.per_address; if it is a proxy, http.trusted_proxies"
	}
	return "limits.connections"
}

// role is what a slot's connection is.
type role uint8

const (
	commoner  role = iota // a viewer, or not known yet
	onTrial               // on approval
	publisher             // it publishes
)

// held is a slot in use.
type held struct {
	addr netip.Addr
	role role // guarded by Slots.mu, as is what follows
	// evict closes the connection; nil: it must not be closed to make room.
	evict      func()
	in         *queue // nil: in none
	prev, next *held
	released   bool
}

// Slot is what a connection got. It is given back by Release.
type Slot struct {
	of   *Slots
	held *held
	// Refusal says which bound was met; the connection may stay to be told.
	Refusal string

	byAddress bool // Refusal is of the bound per address
}

// Take gives a connection a slot. It returns false when it must be closed at once.
func (s *Slots) Take(remote net.Addr) (Slot, bool) { return s.TakeConn(remote, nil) }

// TakeConn is Take for a connection that evict closes, without waiting, to make room for others: while
// it is on approval, or idle.
func (s *Slots) TakeConn(remote net.Addr, evict func()) (Slot, bool) {
	h := &held{addr: addressOf(remote), evict: evict}
	sl := Slot{of: s, held: h}
	bounded := s.bounded(h.addr)
	s.mu.Lock()
	out := s.makeRoom()
	switch {
	case s.total > 0 && s.used >= s.total:
		sl.Refusal = s.allTaken()
	case bounded && s.from[h.addr] >= s.perAddress:
		sl.Refusal, sl.byAddress = s.addressTaken(), true
	}
	ok := true
	switch {
	case sl.Refusal == "":
		s.enter(h)
	case s.refused >= toldAtOnce:
		ok = false
	default:
		s.refused++
	}
	s.mu.Unlock()
	if out != nil {
		out()
	}
	return sl, ok
}

// makeRoom gives up a slot for a connection that comes, where they are short, and returns what
// closes the one that had it: an idle one, or where none is left for strangers one on approval, the
// oldest of the address that has most of them. s.mu is held.
func (s *Slots) makeRoom() (evict func()) {
	var h *held
	switch {
	case s.total == 0 || s.common < s.total-s.reserve && s.used < s.total:
		return nil
	case s.idle.first != nil:
		h = s.idle.first
	case s.used >= s.total:
		h = s.waiting.ofMost()
	}
	if h == nil {
		return nil
	}
	s.leave(h)
	return h.evict
}

// enter counts a new connection. s.mu is held.
func (s *Slots) enter(h *held) {
	s.used++
	s.from[h.addr]++
	if h.role = commoner; s.roomy() {
		s.common++
		return
	}
	h.role = onTrial
	if h.evict != nil {
		s.waiting.push(h)
	}
}

// roomy reports whether there is a slot that is not kept for publishers. s.mu is held.
func (s *Slots) roomy() bool { return s.total == 0 || s.common < s.total-s.reserve }

// leave takes a connection out, once. s.mu is held.
func (s *Slots) leave(h *held) {
	if h.released {
		return
	}
	h.released = true
	h.dequeue()
	s.used--
	if h.role == commoner {
		s.common--
	}
	if s.from[h.addr]--; s.from[h.addr] <= 0 {
		delete(s.from, h.addr)
	}
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
	s.leave(sl.held)
}

// View says that the connection is a viewer's. It returns why there is no slot for one; empty: there
// is.
func (sl Slot) View() (refusal string) {
	s, h := sl.of, sl.held
	if sl.Refusal != "" {
		return sl.Refusal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case h.released:
		return s.viewersTaken()
	case h.role != onTrial:
		return ""
	case !s.roomy():
		return s.viewersTaken()
	}
	h.dequeue()
	h.role = commoner
	s.common++
	return ""
}

// Publish says that the connection publishes, or with false that it does not any more.
func (sl Slot) Publish(publishes bool) {
	s, h := sl.of, sl.held
	s.mu.Lock()
	defer s.mu.Unlock()
	if sl.Refusal != "" || h.released || publishes == (h.role == publisher) {
		return
	}
	h.dequeue()
	if h.role == commoner {
		s.common--
	}
	switch {
	case publishes:
		h.role = publisher
	case s.roomy():
		h.role = commoner
		s.common++
	default:
		h.role = onTrial
		if h.evict != nil {
			s.waiting.push(h)
		}
	}
}

// Idle says that the connection waits for another request, or with false that it has one. An idle
// one is closed first when slots are short.
func (sl Slot) Idle(idle bool) {
	s, h := sl.of, sl.held
	s.mu.Lock()
	defer s.mu.Unlock()
	if sl.Refusal != "" || h.released || h.evict == nil || h.role == publisher {
		return
	}
	h.dequeue()
	switch {
	case idle:
		s.idle.push(h)
	case h.role == onTrial:
		s.waiting.push(h)
	}
}

// addressOf returns what one peer has for itself: its IPv4 address, or the /64 of its IPv6 address,
// of which one host has as many as it likes. It is the zero Addr where there is none.
func addressOf(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return Network(ap.Addr())
}

// Network returns what one peer has for itself: an IPv4 address, or the first address of the /64 of
// an IPv6 one.
func Network(addr netip.Addr) netip.Addr {
	if addr = addr.Unmap().WithZone(""); addr.Is6() && !addr.IsLoopback() {
		return netip.PrefixFrom(addr, 64).Masked().Addr()
	}
	return addr
}

// TakeAddr is Take for a peer that has no connection of its own, such as one whose media
// comes over a socket that all share.
func (s *Slots) TakeAddr(remote netip.AddrPort) (Slot, bool) {
	return s.Take(net.TCPAddrFromAddrPort(remote))
}
