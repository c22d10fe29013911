package app

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/configs"
)

// An address with most of the connections is logged once.
func TestProxyThatIsNotDeclared(t *testing.T) {
	var log bytes.Buffer
	cfg := configs.Default()
	a := &App{log: slog.New(slog.NewTextHandler(&log, nil)), settings: &settings{}}
	a.settings.cfg.Store(&cfg)
	a.slots = newSlots(&cfg, a.settings)
	watch := newProxyWatch()
	for i := range 600 {
		from := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: i + 1}
		if i%3 == 0 {
			from.IP = net.IPv4(198, 51, 100, byte(i))
		}
		if _, ok := a.slots.Take(from); !ok {
			t.Fatal("no slot")
		}
		watch.check(a)
	}
	if got := log.String(); strings.Count(got, "one address carries most connections") != 1 || !strings.Contains(got, "addr=192.0.2.1") {
		t.Errorf("logged %q, want one warning that names the address", got)
	}
}

// For an undeclared proxy on this machine the hint differs: limits.per_address does not apply to
// it.
func TestProxyOnLoopbackThatIsNotDeclared(t *testing.T) {
	var log bytes.Buffer
	cfg := configs.Default()
	a := &App{log: slog.New(slog.NewTextHandler(&log, nil)), settings: &settings{}}
	a.settings.cfg.Store(&cfg)
	a.slots = newSlots(&cfg, a.settings)
	for i := range proxyMinConnections {
		if _, ok := a.slots.Take(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: i + 1}); !ok {
			t.Fatal("no slot")
		}
	}
	newProxyWatch().check(a)
	if got := log.String(); !strings.Contains(got, "addr=127.0.0.1") || !strings.Contains(got, "http.trusted_proxies") || strings.Contains(got, "per_address") {
		t.Errorf("logged %q, want a hint to http.trusted_proxies without limits.per_address", got)
	}
}
