package auth

import (
	"net"
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
	mu   sync.Mutex // guards from
	from map[string]*tally
}

type tally struct {
	since time.Time
	count int
}

// NewTries returns an empty count.
func NewTries() *Tries { return &Tries{from: map[string]*tally{}} }

// Blocked is how long the address has to wait; 0 if it may try.
func (t *Tries) Blocked(now time.Time, remote string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.from[network(remote)]
	if c == nil || c.count < most {
		return 0
	}
	return max(0, c.since.Add(window).Sub(now))
}

// Failed counts a wrong key.
func (t *Tries) Failed(now time.Time, remote string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := network(remote)
	c := t.from[key]
	if c == nil || now.Sub(c.since) >= window {
		if c == nil && len(t.from) >= addresses {
			t.evict(now)
		}
		c = &tally{since: now}
		t.from[key] = c
	}
	c.count++
}

func (t *Tries) evict(now time.Time) {
	oldest, at := "", now
	for k, c := range t.from {
		if now.Sub(c.since) >= window {
			delete(t.from, k)
			continue
		}
		if !c.since.After(at) {
			oldest, at = k, c.since
		}
	}
	if len(t.from) >= addresses {
		delete(t.from, oldest)
	}
}

func network(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	ip := net.ParseIP(host)
	if ip == nil || ip.To4() != nil {
		return host
	}
	return ip.Mask(net.CIDRMask(64, 128)).String()
}
