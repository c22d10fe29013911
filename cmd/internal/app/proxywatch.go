package app

import (
	"net/netip"
	"time"
)

const (
	proxyMinConnections = 200       // minimum number of connections from a suspected proxy
	proxyWarnInterval   = time.Hour // minimum interval between two warnings about an address
	proxyMaxAddresses   = 16        // maximum number of remembered addresses
)

// proxyWatch logs a warning if most connections come from one address. It may be a proxy that is missing in
// http.trusted_proxies, so that all its viewers share the limits of one address.
type proxyWatch struct{ lastWarned map[netip.Addr]time.Time }

func newProxyWatch() proxyWatch { return proxyWatch{lastWarned: map[netip.Addr]time.Time{}} }

func (c proxyWatch) check(a *App) {
	addr, n := a.slots.Busiest()
	used := a.slots.Used()
	if n < proxyMinConnections || 2*n <= used || !addr.IsValid() || a.settings.trusts(addr) {
		return
	}
	now := time.Now()
	for old, at := range c.lastWarned {
		if now.Sub(at) >= proxyWarnInterval || len(c.lastWarned) >= proxyMaxAddresses {
			delete(c.lastWarned, old)
		}
	}
	if _, ok := c.lastWarned[addr]; ok {
		return
	}
	c.lastWarned[addr] = now
	hint := "if it is a proxy, list it in http.trusted_proxies; limits.per_address bounds it otherwise"
	if addr.IsLoopback() { // limits.per_address does not apply to it
		hint = "if a proxy on this machine forwards to the relay, list it in http.trusted_proxies; without that all its viewers are logged as " +
			addr.String() + " and share one address's limit of joins"
	}
	a.log.Warn("one address carries most connections", "addr", addr.String(), "connections", n, "of", used, "hint", hint)
}
