//go:build linux

package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestDeadHost pushes over a hundred routes to one dead host. Together they dial it as seldom as one
// route, and cost almost no CPU time.
func TestDeadHost(t *testing.T) {
	t.Parallel()
	const (
		routes = 100
		fall   = 5               // default of breaker.fall
		every  = 5 * time.Second // default of breaker.every
		span   = 30 * time.Second
	)
	dead := newDeadHost(t)
	var text strings.Builder
	text.WriteString("push:\n")
	for i := range routes {
		g := group{name: fmt.Sprintf("to%d", i), urls: pushURLs(dead.addr)}
		text.WriteString(strings.TrimPrefix(g.yaml(), ":\n"))
	}
	r := startRelay(t, "--config", config(t, text.String()))
	p := publish(t, r, "live/cam", gen.Options{NoVideo: true})
	p.waitSent(20)
	waitUntil(t, "the host is known to be dead", func() bool {
		b := r.routesStatus().Breakers
		return len(b) == 1 && b[0].State == "open" && b[0].Failures >= fall
	})

	dials, cpu := dead.dials.Load(), r.processorTime()
	sleep(t, span)
	dials, cpu = dead.dials.Load()-dials, r.processorTime()-cpu
	t.Logf("%d dials and %v of CPU time in %v", dials, cpu, span)
	if maximum := int64(span/every) + 1; dials > maximum || dials < maximum-2 {
		t.Errorf("got %d dials in %v", dials, span)
	}
	if maximum := slack(span / 50); cpu > maximum {
		t.Errorf("got %v of CPU time in %v", cpu, span)
	}
	var series []string
	for i := range routes {
		series = append(series, fmt.Sprintf(`holdfast_route_dials_total{group="to%d",outcome="failed",route="a"}`, i))
	}
	counted := 0.0
	for _, n := range r.metrics(series...) {
		counted += n
	}
	if all := dead.dials.Load(); int64(counted) < all-4 || int64(counted) > all {
		t.Errorf("got %v failed dials of %d in the metrics", counted, all)
	}
	p.pause()
}

// deadHost resets and counts connections.
type deadHost struct {
	addr  string
	dials atomic.Int64
}

func newDeadHost(t *testing.T) *deadHost {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &deadHost{addr: l.Addr().String()}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d.dials.Add(1)
			_ = c.(*net.TCPConn).SetLinger(0) //nolint:forcetypeassert // it is
			_ = c.Close()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		accepting.Wait()
	})
	return d
}

// processorTime returns the CPU time of the relay.
func (r *relay) processorTime() time.Duration {
	r.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.cmd.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // skip the name, which may contain spaces
	fields := strings.Fields(rest)
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		r.t.Fatal(err)
	}
	const tick = time.Second / 100 // of USER_HZ
	return time.Duration(user+system) * tick
}
