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

// Answers to wrong keys are delayed, except the first few of an address within window. The
// delay doubles with each further one, up to the maximum.
const (
	freeGuesses = 3
	minDelay    = 250 * time.Millisecond
	maxDelay    = 4 * time.Second
	window      = time.Minute
)

const (
	// maxAddresses bounds the number of addresses that are counted. When it is reached, the oldest is
	// dropped.
	maxAddresses = 4096
	// maxDelayed and maxDelayedPerAddress bound the number of answers that are delayed at a time, in
	// total and per address. Further wrong keys are answered at once.
	maxDelayed           = 512
	maxDelayedPerAddress = 32
)

// Guesses slows down the guessing of keys. It counts wrong keys per IPv4 address and per IPv6 /64,
// because one IPv6 host has many addresses. Callers must check a key before they call Wrong, so that
// a right key is never delayed.
type Guesses struct {
	mu        sync.Mutex // guards the fields below, and the tallies
	byNetwork map[string]*list.Element
	order     *list.List // of *tally, oldest window first
	delayed   int        // delayed answers
}

type tally struct {
	network string
	since   time.Time
	count   int
	delayed int // delayed answers
}

// NewGuesses returns Guesses without any counts.
func NewGuesses() *Guesses { return &Guesses{byNetwork: map[string]*list.Element{}, order: list.New()} }

// Wrong counts a wrong key from an address, and returns when it should be answered. The error is
// that of ctx.
func (g *Guesses) Wrong(ctx context.Context, remote string) error {
	wait, answered := g.count(time.Now(), Network(remote))
	if answered == nil {
		return nil
	}
	defer answered()
	return delay.Sleep(ctx, wait)
}

// count counts a wrong key and returns the delay of its answer. If answered is not nil, it must be
// called after the answer.
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
	one := e.Value.(*tally) //nolint:forcetypeassert // the list has no other type
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

// delayOf returns the delay of the answer to the nth wrong key of an address.
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

// Network returns the network that a single peer may control: an IPv4 address, or the /64 of an
// IPv6 address. remote is host:port or a host.
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
