package ingest

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Slots limits connections in total and per address. Several servers may share it.
//
// A tenth of the slots is reserved for publishers. When all other slots are taken, a new connection
// gets a reserved slot until its role is known: a publisher keeps the slot, and a viewer is
// refused. When all slots are taken, a connection whose role is not yet known is closed to make
// room for a new one.
type Slots struct {
	total, perAddress int // 0 means no limit
	reserve           int // part of total for publishers
	shared            func(netip.Addr) bool

	mu           sync.Mutex // guards all fields below
	used         int
	viewers      int // part of used: neither publishers nor with the role onApproval
	beingRefused int // open connections without a slot, whose peers are being told the reason
	perAddr      map[netip.Addr]int
	// Both queues are ordered oldest first. idle holds connections between two requests, and
	// waiting holds connections with the role onApproval.
	idle, waiting slotQueue
}

// NewSlots returns Slots for the given number of connections in total and from one address; 0 means
// no limit.
func NewSlots(total, perAddress int) *Slots {
	return &Slots{total: total, reserve: total / 10, perAddress: perAddress, perAddr: map[netip.Addr]int{}}
}

// Share sets the function that reports whether many peers share an address, as with a trusted
// proxy. The limit per address does not apply to such addresses. Share must be called before the
// first connection.
func (s *Slots) Share(shared func(netip.Addr) bool) { s.shared = shared }

// limitedPerAddress reports whether the limit per address applies to an address.
func (s *Slots) limitedPerAddress(a netip.Addr) bool {
	return s.perAddress > 0 && (s.shared == nil || !s.shared(a))
}

// Used returns the number of connections that hold a slot.
func (s *Slots) Used() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// Busiest returns the address that holds the most slots, and how many.
func (s *Slots) Busiest() (addr netip.Addr, slots int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, n := range s.perAddr {
		if n > slots || n == slots && a.Less(addr) {
			addr, slots = a, n
		}
	}
	return addr, slots
}

// maxBeingRefused is how many refused connections may be open at the same time to be told the
// reason. Further ones are closed without an answer, which bounds the cost of refusals.
const maxBeingRefused = 64

// totalRefusal, viewerRefusal and addressRefusal return the reasons of refusals, for peers and logs.
func (s *Slots) totalRefusal() string { return fmt.Sprintf("connection limit (%d) reached", s.total) }

func (s *Slots) viewerRefusal() string {
	return fmt.Sprintf("viewer limit (%d of %d connections) reached", s.total-s.reserve, s.total)
}

func (s *Slots) addressRefusal() string {
	return fmt.Sprintf("limit of connections from one address (%d) reached", s.perAddress)
}

// Hint returns the configuration keys of the limit that refused the slot, for the log.
func (sl Slot) Hint() string {
	if sl.byAddress {
		return "limits.per_address; if it is a proxy, http.trusted_proxies"
	}
	return "limits.connections"
}

// slotRole is the role of a slot's connection.
type slotRole uint8

const (
	viewerOrUnknown slotRole = iota // a viewer, or not yet known
	onApproval                      // in a reserved slot; the role is not yet known
	publishing
)

// heldSlot is a slot in use.
type heldSlot struct {
	addr netip.Addr
	role slotRole // guarded by Slots.mu, as are the fields below
	// evict closes the connection; nil if it must not be closed to make room.
	evict      func()
	queue      *slotQueue // nil for none
	prev, next *heldSlot
	released   bool
}

// Slot is the slot of a connection, or its refusal. It must be released by Release.
type Slot struct {
	slots *Slots
	held  *heldSlot
	// Refusal says which limit was reached; empty if the connection has a slot. A refused
	// connection may stay open so that its peer can be told.
	Refusal string

	byAddress bool // Refusal is about the limit per address
}

// Take returns a slot for a connection. If it returns false, the connection must be closed at once.
func (s *Slots) Take(remote net.Addr) (Slot, bool) { return s.TakeConn(remote, nil) }

// TakeConn is Take for a connection that may be closed to make room for others. It may be closed
// while it is idle, and while it holds a reserved slot and its role is not yet known. evict must
// close the connection without waiting.
func (s *Slots) TakeConn(remote net.Addr, evict func()) (Slot, bool) {
	h := &heldSlot{addr: peerAddress(remote), evict: evict}
	sl := Slot{slots: s, held: h}
	bounded := s.limitedPerAddress(h.addr)
	s.mu.Lock()
	out := s.makeRoom()
	switch {
	case s.total > 0 && s.used >= s.total:
		sl.Refusal = s.totalRefusal()
	case bounded && s.perAddr[h.addr] >= s.perAddress:
		sl.Refusal, sl.byAddress = s.addressRefusal(), true
	}
	ok := true
	switch {
	case sl.Refusal == "":
		s.add(h)
	case s.beingRefused >= maxBeingRefused:
		ok = false
	default:
		s.beingRefused++
	}
	s.mu.Unlock()
	if out != nil {
		out()
	}
	return sl, ok
}

// makeRoom frees a slot for a new connection if slots are short. It removes the oldest idle
// connection. If none is idle and all slots are taken, it chooses among the connections in reserved
// slots whose role is not yet known: it removes the oldest of the address that has the most of
// them. It returns the evict function of the removed connection, or nil. s.mu must be held.
func (s *Slots) makeRoom() (evict func()) {
	var h *heldSlot
	switch {
	case s.total == 0 || s.viewers < s.total-s.reserve && s.used < s.total:
		return nil
	case s.idle.first != nil:
		h = s.idle.first
	case s.used >= s.total:
		h = s.waiting.oldestOfBusiest()
	}
	if h == nil {
		return nil
	}
	s.remove(h)
	return h.evict
}

// add counts a new connection. s.mu must be held.
func (s *Slots) add(h *heldSlot) {
	s.used++
	s.perAddr[h.addr]++
	if h.role = viewerOrUnknown; s.hasRoom() {
		s.viewers++
		return
	}
	h.role = onApproval
	if h.evict != nil {
		s.waiting.push(h)
	}
}

// hasRoom reports whether a slot is free that is not reserved for publishers. s.mu must be held.
func (s *Slots) hasRoom() bool { return s.total == 0 || s.viewers < s.total-s.reserve }

// remove removes a connection, once. s.mu must be held.
func (s *Slots) remove(h *heldSlot) {
	if h.released {
		return
	}
	h.released = true
	h.dequeue()
	s.used--
	if h.role == viewerOrUnknown {
		s.viewers--
	}
	if s.perAddr[h.addr]--; s.perAddr[h.addr] <= 0 {
		delete(s.perAddr, h.addr)
	}
}

// Release releases the slot, once.
func (sl Slot) Release() {
	s := sl.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	if sl.Refusal != "" {
		s.beingRefused--
		return
	}
	s.remove(sl.held)
}

// View declares that the connection is a viewer's. It returns "" if there is a slot for a viewer,
// or the reason why there is none.
func (sl Slot) View() (refusal string) {
	s, h := sl.slots, sl.held
	if sl.Refusal != "" {
		return sl.Refusal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case h.released:
		return s.viewerRefusal()
	case h.role != onApproval:
		return ""
	case !s.hasRoom():
		return s.viewerRefusal()
	}
	h.dequeue()
	h.role = viewerOrUnknown
	s.viewers++
	return ""
}

// Publish declares that the connection publishes or, if publishes is false, that it has stopped.
func (sl Slot) Publish(publishes bool) {
	s, h := sl.slots, sl.held
	s.mu.Lock()
	defer s.mu.Unlock()
	if sl.Refusal != "" || h.released || publishes == (h.role == publishing) {
		return
	}
	h.dequeue()
	if h.role == viewerOrUnknown {
		s.viewers--
	}
	switch {
	case publishes:
		h.role = publishing
	case s.hasRoom():
		h.role = viewerOrUnknown
		s.viewers++
	default:
		h.role = onApproval
		if h.evict != nil {
			s.waiting.push(h)
		}
	}
}

// Idle declares that the connection waits for its next request or, if idle is false, that the
// request has arrived. Idle connections are the first to be closed when slots are short.
func (sl Slot) Idle(idle bool) {
	s, h := sl.slots, sl.held
	s.mu.Lock()
	defer s.mu.Unlock()
	if sl.Refusal != "" || h.released || h.evict == nil || h.role == publishing {
		return
	}
	h.dequeue()
	switch {
	case idle:
		s.idle.push(h)
	case h.role == onApproval:
		s.waiting.push(h)
	}
}

// peerAddress returns the address that identifies a peer; see Network. It returns the zero Addr if
// a has no IP address.
func peerAddress(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return Network(ap.Addr())
}

// Network returns the address that identifies a peer: an IPv4 address, or the first address of the
// /64 of an IPv6 address, because a single host can use every address of its /64.
func Network(addr netip.Addr) netip.Addr {
	if addr = addr.Unmap().WithZone(""); addr.Is6() && !addr.IsLoopback() {
		return netip.PrefixFrom(addr, 64).Masked().Addr()
	}
	return addr
}

// TakeAddr is Take for a peer without a connection of its own, such as one whose media arrives on a
// shared socket.
func (s *Slots) TakeAddr(remote netip.AddrPort) (Slot, bool) {
	return s.Take(net.TCPAddrFromAddrPort(remote))
}
