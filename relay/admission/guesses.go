package admission

import (
	"container/list"
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/relay/delay"
)

// The answers to wrong keys come late: the first few of an address within window at once, each
// further one after twice the time, up to longest.
const (
	freeGuesses = 3
	minDelay    = 250 * time.Millisecond
	maxDelay    = 4 * time.Second
	window      = time.Minute
)

const (
	// maxAddresses bounds the memory that strangers can take. Beyond it the oldest window is dropped.
	maxAddresses = 4096
	// maxDelayed and mostLateFrom bound the answers that are kept back at a time, of all addresses and
	// of one. Further wrong keys are answered at once.
	maxDelayed           = 512
	maxDelayedPerAddress = 32
)

// Guesses slows down the guessing of keys. It counts wrong keys per address, and per /64 of IPv6, of
// which one host has plenty. Callers check a right key first: it never waits, whatever else comes from
// its address.
type Guesses struct {
	mu        sync.Mutex // guards all below, and what the tallies hold
	byNetwork map[string]*list.Element
	order     *list.List // of *tally, the oldest window first
	delayed   int        // answers that are kept back
}

type tally struct {
	network string
	since   time.Time
	count   int
	delayed int // answers that are kept back
}

// NewGuesses returns an empty count.
func NewGuesses() *Guesses { return &Guesses{byNetwork: map[string]*list.Element{}, order: list.New()} }

// Wrong counts a wrong key of an address and returns when it is time to answer it. Its error is ctx's.
func (g *Guesses) Wrong(ctx context.Context, remote string) error {
	wait, answered := g.count(time.Now(), Network(remote))
	if answered == nil {
		return nil
	}
	defer answered()
	return delay.Sleep(ctx, wait)
}

// count counts a wrong key. Where its answer is to be kept back, answered is to be called after that;
// else it is nil.
func (g *Guesses) count(now time.Time, network string) (delay time.Duration, answered func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for e := g.order.Front(); e != nil && now.Sub(e.Value.(*tally).since) >= window; e = g.order.Front() {
		g.forget(e)
	}
	e := g.byNetwork[network]
	if e == nil {
		if g.order.Len() >= maxAddresses {
			g.forget(g.order.Front())
		}
		e = g.order.PushBack(&tally{network: network, since: now})
		g.byNetwork[network] = e
	}
	one := e.Value.(*tally) //nolint:forcetypeassert // nothing else is in the list
	one.count++
	delay = delayOf(one.count)
	if delay == 0 || g.delayed >= maxDelayed || one.delayed >= maxDelayedPerAddress {
		return 0, nil
	}
	g.delayed++
	one.delayed++
	return delay, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.delayed--
		one.delayed--
	}
}

// delayOf returns how long the answer to the nth wrong key of an address is kept back.
func delayOf(n int) time.Duration {
	if n <= freeGuesses {
		return 0
	}
	return min(maxDelay, minDelay<<min(n-freeGuesses-1, 8))
}

// forget drops a tally. g.mu is held.
func (g *Guesses) forget(e *list.Element) {
	delete(g.byNetwork, e.Value.(*tally).network)
	g.order.Remove(e)
}

// Network returns the network that one peer may have for itself: an IPv4 address, or the /64 of an IPv6
// one. remote is host:port, or a host.
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
