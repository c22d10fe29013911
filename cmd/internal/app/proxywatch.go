package app

import (
	"net/netip"
	"time"
)

const (
	crowdLeast = 200       // connections of one address that may be a proxy's
	crowdEvery = time.Hour // between two warnings of one address
	crowdMost  = 16        // addresses that are remembered
)

// proxyWatch warns where one address carries most connections: it may be a proxy that is not declared, behind
// which all viewers share what one address may have.
type proxyWatch struct{ told map[netip.Addr]time.Time }

func newProxyWatch() proxyWatch { return proxyWatch{told: map[netip.Addr]time.Time{}} }

func (c proxyWatch) look(a *App) {
	addr, n := a.slots.Busiest()
	used := a.slots.Used()
	if n < crowdLeast || 2*n <= used || !addr.IsValid() || a.settings.trusts(addr) {
		return
	}
	now := time.Now()
	for old, at := range c.told {
		if now.Sub(at) >= crowdEvery || len(c.told) >= crowdMost {
			delete(c.told, old)
		}
	}
	if _, ok := c.told[addr]; ok {
		return
	}
	c.told[addr] = now
	hint := "if it is a proxy, list it in http.trusted_proxies; limits.per_address bounds it otherwise"
	if addr.IsLoopback() { // limits.per_address does not bound it
		hint = "if a proxy on this machine forwards to the relay, list it in http.trusted_proxies; without that all its viewers are logged as " +
			addr.String() + " and share one address's limit of joins"
	}
	a.log.Warn("one address carries most connections", "addr", addr.String(), "connections", n, "of", used, "hint", hint)
}
