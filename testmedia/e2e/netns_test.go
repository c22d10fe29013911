//go:build linux

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"
)

// lines counts the lines of this process.
var lines atomic.Uint32

// netLine is a network path over a router to a host, built from network namespaces. Faults occur on the
// path, as in a real network, and not in the sender's queues.
type netLine struct {
	t           testing.TB
	router, far string // namespaces
	toFar       string // the router's interface to the host
	near, host  netip.Addr
}

// newLine creates a netLine, which is removed at the end of the test.
func newLine(t testing.TB) *netLine {
	t.Helper()
	requirePrograms(t, "ip", "tc")
	if os.Geteuid() != 0 {
		skipOrFail(t, "only root may make network namespaces")
	}
	// 198.18.0.0/15 is reserved for network tests; each line uses 16 addresses.
	pid, n := os.Getpid(), lines.Add(1)
	at := (uint32(pid)*8 + n) % (1 << 13)
	base := uint32(198)<<24 | 18<<16 | at<<4
	addr := func(i uint32) netip.Addr {
		b := base + i
		return netip.AddrFrom4([4]byte{byte(b >> 24), byte(b >> 16), byte(b >> 8), byte(b)})
	}
	name := fmt.Sprintf("hf%x-%x", pid, n)
	l := &netLine{t: t, router: name + "r", far: name + "f", toFar: name + "c", near: addr(1), host: addr(6)}
	for _, ns := range []string{l.router, l.far} {
		l.ip("netns", "add", ns)
		t.Cleanup(func() { l.ip("netns", "del", ns) })
	}
	l.ip("link", "add", name+"a", "type", "veth", "peer", "name", name+"b", "netns", l.router)
	l.ip("-n", l.router, "link", "add", l.toFar, "type", "veth", "peer", "name", name+"d", "netns", l.far)
	for _, end := range []struct {
		ns, dev string
		addr    netip.Addr
	}{{"", name + "a", addr(1)}, {l.router, name + "b", addr(2)}, {l.router, l.toFar, addr(5)}, {l.far, name + "d", addr(6)}} {
		var in []string
		if end.ns != "" {
			in = []string{"-n", end.ns}
		}
		l.ip(append(in, "addr", "add", end.addr.String()+"/30", "dev", end.dev)...)
		l.ip(append(in, "link", "set", end.dev, "up")...)
	}
	l.run("ip", "netns", "exec", l.router, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	l.ip("route", "add", addr(4).String()+"/30", "via", addr(2).String())
	l.ip("-n", l.far, "route", "add", "default", "via", addr(5).String())
	return l
}

func (l *netLine) ip(args ...string) {
	l.t.Helper()
	l.run("ip", args...)
}

func (l *netLine) run(program string, args ...string) {
	l.t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		l.t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
}

// nginx runs nginx on the host.
func (l *netLine) nginx() *nginx {
	l.t.Helper()
	return startNginx(l.t, netip.AddrPortFrom(l.host, 1935).String(), "http://127.0.0.1:9/", "ip", "netns", "exec", l.far)
}

// dropAll makes the router drop all packets in both directions.
func (l *netLine) dropAll() {
	l.t.Helper()
	for _, addr := range []netip.Addr{l.near, l.host} {
		l.ip("-n", l.router, "route", "add", "blackhole", addr.String()+"/32")
	}
}

// setRate limits the path to the host to a rate in bit/s, with the short queue that is usual for such a
// line.
func (l *netLine) setRate(bits float64) {
	l.t.Helper()
	const queue = 300 * time.Millisecond
	l.run("tc", "-n", l.router, "qdisc", "replace", "dev", l.toFar, "root", "tbf",
		"rate", fmt.Sprintf("%.0fbit", bits), "burst", "32k", "latency", fmt.Sprint(queue))
}
