package auth

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A stranger may try this many wrong keys in window; then he waits until the window is over.
const (
	most   = 10
	window = time.Minute
	// addresses bounds the memory that strangers can take. When it is full the oldest window
	// is given up.
	addresses = 4096
)

// Tries counts wrong keys per address, and per /64 of IPv6, of which one host has plenty.
type Tries struct {
	mu    sync.Mutex // guards all below
	from  map[string]*list.Element
	order *list.List // of *tally, the oldest window first
}

type tally struct {
	network string
	since   time.Time
	count   int
}

// NewTries returns an empty count.
func NewTries() *Tries { return &Tries{from: map[string]*list.Element{}, order: list.New()} }

// Blocked is how long the address has to wait; 0 if it may try.
func (t *Tries) Blocked(now time.Time, remote string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.from[network(remote)]
	if e == nil || e.Value.(*tally).count < most {
		return 0
	}
	return max(0, e.Value.(*tally).since.Add(window).Sub(now))
}

// Failed counts a wrong key.
func (t *Tries) Failed(now time.Time, remote string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := t.order.Front(); e != nil && now.Sub(e.Value.(*tally).since) >= window; e = t.order.Front() {
		t.forget(e)
	}
	key := network(remote)
	if e := t.from[key]; e != nil {
		e.Value.(*tally).count++
		return
	}
	if t.order.Len() >= addresses {
		t.forget(t.order.Front())
	}
	t.from[key] = t.order.PushBack(&tally{network: key, since: now, count: 1})
}

// forget is called with the lock held.
func (t *Tries) forget(e *list.Element) {
	delete(t.from, e.Value.(*tally).network)
	t.order.Remove(e)
}

// network is what shares a count: an IPv4 address, or the /64 of an IPv6 one.
func network(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip.WithZone(""), 64).Masked().String()
}
