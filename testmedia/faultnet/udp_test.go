package faultnet

import (
	"encoding/binary"
	"errors"
	"math"
	"net"
	"os"
	"slices"
	"testing"
	"time"
)

// arrival is a datagram, by its number and the time that it took.
type arrival struct {
	n    int
	took time.Duration
}

// passing sends so many datagrams of 1,000 bytes over a line, one each interval, and returns
// what arrives in the order in which it was sent.
func passing(l *udpLine, count int, interval time.Duration) (all []arrival) {
	start := time.Unix(1, 0)
	for n := range count {
		now := start.Add(time.Duration(n) * interval)
		at, times := l.pass(now, 1000)
		for _, at := range at[:times] {
			all = append(all, arrival{n, at.Sub(now)})
		}
	}
	return all
}

func about(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance*want }

func TestUDPLine(t *testing.T) {
	const count, interval = 10_000, time.Millisecond
	mean := func(all []arrival) float64 {
		var sum time.Duration
		for _, a := range all {
			sum += a.took
		}
		return (sum / time.Duration(len(all))).Seconds()
	}
	overtaken := func(all []arrival) (n int) {
		for i := range all[1:] {
			sent := func(a arrival) time.Duration { return time.Duration(a.n)*interval + a.took }
			if sent(all[i+1]) < sent(all[i]) {
				n++
			}
		}
		return n
	}
	for name, c := range map[string]struct {
		faults UDPFaults
		right  func([]arrival) bool
	}{
		"none": {UDPFaults{}, func(a []arrival) bool { return len(a) == count && mean(a) == 0 }},
		"loss": {UDPFaults{Loss: 0.1}, func(a []arrival) bool { return about(float64(len(a)), 0.9*count, 0.02) }},
		"all":  {UDPFaults{Loss: 1}, func(a []arrival) bool { return len(a) == 0 }},
		"twice": {UDPFaults{Duplicate: 0.2}, func(a []arrival) bool {
			return about(float64(len(a)), 1.2*count, 0.02)
		}},
		"jitter overtakes": {UDPFaults{Delay: 50 * time.Millisecond, Jitter: 20 * time.Millisecond}, func(a []arrival) bool {
			for _, a := range a {
				if a.took < 50*time.Millisecond || a.took > 70*time.Millisecond {
					return false
				}
			}
			return len(a) == count && about(mean(a), 0.060, 0.02) && overtaken(a) > count/10
		}},
		"or not": {UDPFaults{Delay: 50 * time.Millisecond, Jitter: 20 * time.Millisecond, Ordered: true}, func(a []arrival) bool {
			return len(a) == count && overtaken(a) == 0
		}},
		// A thousand datagrams a second of which the line carries half, and holds twenty.
		"a narrow line": {UDPFaults{Rate: 500_000, Queue: 20_000}, func(a []arrival) bool {
			return about(float64(len(a)), count/2, 0.02) && overtaken(a) == 0 &&
				about(a[len(a)-1].took.Seconds(), 0.040, 0.1) && a[0].took == 2*time.Millisecond
		}},
		"a wide one": {UDPFaults{Rate: 2_000_000}, func(a []arrival) bool {
			return len(a) == count && mean(a) == 0.0005
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if a := passing(newUDPLine(1, Up, c.faults), count, interval); !c.right(a) {
				t.Errorf("%d arrived, %d overtook", len(a), overtaken(a))
			}
		})
	}
}

func TestUDPLineSameSeedSameLuck(t *testing.T) {
	faults := UDPFaults{Loss: 0.3, Duplicate: 0.3, Jitter: time.Second}
	run := func(seed uint64, d Direction) []arrival {
		return passing(newUDPLine(seed, d, faults), 100, time.Millisecond)
	}
	if !slices.Equal(run(1, Up), run(1, Up)) {
		t.Error("one seed, two outcomes")
	}
	if slices.Equal(run(1, Up), run(2, Up)) || slices.Equal(run(1, Up), run(1, Down)) {
		t.Error("two seeds, or two directions, and one outcome")
	}
	// What is switched on for others does not change a datagram's own luck.
	l := newUDPLine(1, Up, faults)
	l.dark = true
	passing(l, 50, time.Millisecond)
	l.dark = false
	late := passing(l, 50, time.Millisecond)
	var want []arrival
	for _, a := range run(1, Up) {
		if a.n >= 50 {
			want = append(want, arrival{a.n - 50, a.took})
		}
	}
	if !slices.Equal(late, want) {
		t.Errorf("%v instead of %v", late, want)
	}
}

// A queue drains in order when its line becomes wider.
func TestUDPLineWidens(t *testing.T) {
	l := newUDPLine(1, Up, UDPFaults{Rate: 10_000})
	now := time.Unix(1, 0)
	for range 10 {
		l.pass(now, 1000)
	}
	l.faults = UDPFaults{}.withDefaults()
	if at, n := l.pass(now, 1000); n != 1 || at[0].Sub(now) != time.Second {
		t.Errorf("after %v", at[0].Sub(now))
	}
}

// echo answers each datagram with the port that it came from and what it said.
func echo(t *testing.T) string {
	t.Helper()
	c, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(b[2:])
			if err != nil {
				return
			}
			binary.BigEndian.PutUint16(b, uint16(from.(*net.UDPAddr).Port))
			_, _ = c.WriteTo(b[:n+2], from)
		}
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	return c.LocalAddr().String()
}

func newUDP(t *testing.T, target string, o UDPOptions) *UDPProxy {
	t.Helper()
	p, err := NewUDPProxy(target, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

// udpClient is one of the proxy's.
type udpClient struct {
	t *testing.T
	net.Conn
}

func newUDPClient(t *testing.T, p *UDPProxy) udpClient {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "udp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return udpClient{t, c}
}

// hear waits for an answer, and returns the port and what was said.
func (c udpClient) hear(limit time.Duration) (port int, said string, err error) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(limit))
	b := make([]byte, 1<<16)
	n, err := c.Read(b)
	if err != nil {
		return 0, "", err
	}
	return int(binary.BigEndian.Uint16(b)), string(b[2:n]), nil
}

func (c udpClient) ask(what string) (port int) {
	c.t.Helper()
	mustWrite(c.t, c, []byte(what))
	port, said, err := c.hear(10 * time.Second)
	if err != nil || said != what {
		c.t.Fatalf("%q, %v", said, err)
	}
	return port
}

func TestUDPProxyCarries(t *testing.T) {
	p := newUDP(t, echo(t), UDPOptions{})
	a, b := newUDPClient(t, p), newUDPClient(t, p)
	at, bt := a.ask("hello"), b.ask("others")
	if at == bt || a.ask("") != at || b.ask(string(noise(9000))) != bt {
		t.Errorf("clients at %d and %d", at, bt)
	}
	p.Rebind()
	if a.ask("again") == at {
		t.Error("the same address after Rebind")
	}
	up, down, both := p.Count(Up), p.Count(Down), p.Count(Both)
	if up.Forwarded != 5 || up.Bytes != 5+6+9000+5 || down.Bytes != up.Bytes+10 || both.Forwarded != 10 || both.Dropped != 0 {
		t.Errorf("%+v up, %+v down, %+v both", up, down, both)
	}
}

func TestUDPProxyDelays(t *testing.T) {
	const delay = 30 * time.Millisecond
	p := newUDP(t, echo(t), UDPOptions{Up: UDPFaults{Delay: delay}, Down: UDPFaults{Delay: 2 * delay}})
	c := newUDPClient(t, p)
	start := time.Now()
	c.ask("hello")
	if took := time.Since(start); took < 3*delay {
		t.Errorf("there and back in %v", took)
	}
}

func TestUDPProxyKeepsOrder(t *testing.T) {
	p := newUDP(t, echo(t), UDPOptions{Up: UDPFaults{Jitter: 20 * time.Millisecond, Ordered: true}, Down: UDPFaults{Duplicate: 1}})
	c := newUDPClient(t, p)
	for i := range 100 {
		mustWrite(t, c, []byte{byte(i)})
	}
	for i := range 200 {
		if _, said, err := c.hear(10 * time.Second); err != nil || said != string([]byte{byte(i / 2)}) {
			t.Fatalf("%d: %q, %v", i, said, err)
		}
	}
}

func TestUDPProxyGoesDark(t *testing.T) {
	p := newUDP(t, echo(t), UDPOptions{})
	c := newUDPClient(t, p)
	c.ask("hello")
	for _, dark := range []func(bool){
		func(on bool) { p.BlackHole(Up, on) },
		func(on bool) { p.BlackHole(Both, on) },
		func(on bool) { p.BlackHole(Down, on) },
		func(on bool) {
			loss := 0.0
			if on {
				loss = 1
			}
			p.Set(Both, UDPFaults{Loss: loss})
		},
	} {
		before := p.Count(Both).Dropped
		dark(true)
		mustWrite(t, c, []byte("into nothing"))
		if _, said, err := c.hear(50 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q, %v", said, err)
		}
		if n := p.Count(Both).Dropped - before; n != 1 {
			t.Errorf("%d are lost", n)
		}
		dark(false)
		c.ask("hello")
	}
}

func TestUDPProxyClosesWithMuchUnderWay(t *testing.T) {
	p := newUDP(t, echo(t), UDPOptions{Up: UDPFaults{Delay: time.Hour}})
	c := newUDPClient(t, p)
	for range 100 {
		mustWrite(t, c, []byte("late"))
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := NewUDPProxy("nowhere", UDPOptions{}); err == nil {
		t.Error("a target without a port")
	}
}
