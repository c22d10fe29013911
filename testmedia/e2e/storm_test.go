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

// A hundred routes go to one host that is dead: together they dial it as seldom as one, and
// cost nothing meanwhile.
func TestDeadHost(t *testing.T) {
	t.Parallel()
	const (
		routes = 100
		fall   = 5               // breaker.fall
		every  = 5 * time.Second // breaker.every
		span   = 30 * time.Second
	)
	dead := newDeadHost(t)
	var text strings.Builder
	text.WriteString("push:\n")
	for i := range routes {
		g := group{name: fmt.Sprintf("to%d", i), urls: pushTo(dead.addr)}
		text.WriteString(strings.TrimPrefix(g.yaml(), ":\n"))
	}
	r := start(t, "--config", config(t, text.String()))
	p := publish(t, r, "live/cam", gen.Options{NoVideo: true})
	p.atLeast(20)
	until(t, "the host is known to be dead", func() bool {
		b := r.shown().Breakers
		return len(b) == 1 && b[0].State == "open" && b[0].Failures >= fall
	})

	dials, cpu := dead.dials.Load(), r.processor()
	wait(t, span)
	dials, cpu = dead.dials.Load()-dials, r.processor()-cpu
	t.Logf("%d dials and %v of a processor in %v", dials, cpu, span)
	if most := int64(span/every) + 1; dials > most || dials < most-2 {
		t.Errorf("%d dials in %v", dials, span)
	}
	if most := slack(span / 50); cpu > most {
		t.Errorf("it took %v of a processor in %v", cpu, span)
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
		t.Errorf("%v failed dials are counted of %d", counted, all)
	}
	p.halt()
}

// deadHost resets whoever connects, and counts.
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

// processor is the time that the relay has taken of it.
func (r *relay) processor() time.Duration {
	r.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.cmd.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // after the name, which may hold spaces
	fields := strings.Fields(rest)
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		r.t.Fatal(err)
	}
	const tick = time.Second / 100 // of USER_HZ
	return time.Duration(user+system) * tick
}
