package auth

import (
	"container/list"
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

// The answers to wrong keys come late: the first few of an address within window at once, each
// further one after twice the time, up to longest.
const (
	free     = 3
	shortest = 250 * time.Millisecond
	longest  = 4 * time.Second
	window   = time.Minute
)

const (
	// addresses bounds the memory that strangers can take. When it is full the oldest window
	// is given up.
	addresses = 4096
	// mostLate and mostLateFrom bound the answers that are kept back at a time, of all addresses and
	// of one. Further wrong keys are answered at once.
	mostLate     = 512
	mostLateFrom = 32
)

// Tries slows down guesses. It counts wrong keys per address, and per /64 of IPv6, of which one host
// has plenty. What is right is checked first and never waits, whoever else guesses from its address.
type Tries struct {
	mu    sync.Mutex // guards all below, and what the tallies hold
	from  map[string]*list.Element
	order *list.List // of *tally, the oldest window first
	late  int        // answers that are kept back
}

type tally struct {
	network string
	since   time.Time
	count   int
	late    int // answers that are kept back
}

// NewTries returns an empty count.
func NewTries() *Tries { return &Tries{from: map[string]*list.Element{}, order: list.New()} }

// Wrong counts a wrong key of an address, and returns when it is time to answer it. Its error is
// ctx's: the peer has gone.
func (t *Tries) Wrong(ctx context.Context, remote string) error {
	delay, answered := t.count(time.Now(), Network(remote))
	if answered == nil {
		return nil
	}
	defer answered()
	due := time.NewTimer(delay)
	defer due.Stop()
	select {
	case <-due.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// count counts a wrong key. Where its answer is to be kept back, answered is to be called after that;
// else it is nil.
func (t *Tries) count(now time.Time, network string) (delay time.Duration, answered func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := t.order.Front(); e != nil && now.Sub(e.Value.(*tally).since) >= window; e = t.order.Front() {
		t.forget(e)
	}
	e := t.from[network]
	if e == nil {
		if t.order.Len() >= addresses {
			t.forget(t.order.Front())
		}
		e = t.order.PushBack(&tally{network: network, since: now})
		t.from[network] = e
	}
	one := e.Value.(*tally) //nolint:forcetypeassert // nothing else is in the list
	one.count++
	delay = delayOf(one.count)
	if delay == 0 || t.late >= mostLate || one.late >= mostLateFrom {
		return 0, nil
	}
	t.late++
	one.late++
	return delay, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.late--
		one.late--
	}
}

// delayOf returns how long the answer to the nth wrong key of an address is kept back.
func delayOf(n int) time.Duration {
	if n <= free {
		return 0
	}
	return min(longest, shortest<<min(n-free-1, 8))
}

// forget is called with the lock held.
func (t *Tries) forget(e *list.Element) {
	delete(t.from, e.Value.(*tally).network)
	t.order.Remove(e)
}

// Network returns what one peer may have for itself: an IPv4 address, or the /64 of an IPv6 one.
func Network(remote string) string {
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
