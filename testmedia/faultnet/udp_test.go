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

// arrival is the number of a datagram and its transit time.
type arrival struct {
	n    int
	took time.Duration
}

// sendThrough sends count datagrams of 1,000 bytes over a line, one in each interval. It returns the
// arrivals in order of sending.
func sendThrough(l *udpLine, count int, interval time.Duration) (all []arrival) {
	start := time.Unix(1, 0)
	for n := range count {
		now := start.Add(time.Duration(n) * interval)
		at, times := l.schedule(now, 1000)
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
		// A thousand datagrams a second. The line carries half of them and queues twenty.
		"a narrow line": {UDPFaults{Rate: 500_000, Queue: 20_000}, func(a []arrival) bool {
			return about(float64(len(a)), count/2, 0.02) && overtaken(a) == 0 &&
				about(a[len(a)-1].took.Seconds(), 0.040, 0.1) && a[0].took == 2*time.Millisecond
		}},
		"a wide one": {UDPFaults{Rate: 2_000_000}, func(a []arrival) bool {
			return len(a) == count && mean(a) == 0.0005
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if a := sendThrough(newUDPLine(1, Up, c.faults), count, interval); !c.right(a) {
				t.Errorf("got %d arrivals, %d of them reordered", len(a), overtaken(a))
			}
		})
	}
}

func TestUDPLineIsDeterministic(t *testing.T) {
	faults := UDPFaults{Loss: 0.3, Duplicate: 0.3, Jitter: time.Second}
	run := func(seed uint64, d Direction) []arrival {
		return sendThrough(newUDPLine(seed, d, faults), 100, time.Millisecond)
	}
	if !slices.Equal(run(1, Up), run(1, Up)) {
		t.Error("got two outcomes for one seed")
	}
	if slices.Equal(run(1, Up), run(2, Up)) || slices.Equal(run(1, Up), run(1, Down)) {
		t.Error("got one outcome for two seeds or directions")
	}
	// Faults that are switched on for other datagrams do not change the random numbers of this one.
	l := newUDPLine(1, Up, faults)
	l.blackHole = true
	sendThrough(l, 50, time.Millisecond)
	l.blackHole = false
	late := sendThrough(l, 50, time.Millisecond)
	var want []arrival
	for _, a := range run(1, Up) {
		if a.n >= 50 {
			want = append(want, arrival{a.n - 50, a.took})
		}
	}
	if !slices.Equal(late, want) {
		t.Errorf("got %v, want %v", late, want)
	}
}

// TestUDPLineWidens checks that a queue drains in order when its line becomes faster.
func TestUDPLineWidens(t *testing.T) {
	l := newUDPLine(1, Up, UDPFaults{Rate: 10_000})
	now := time.Unix(1, 0)
	for range 10 {
		l.schedule(now, 1000)
	}
	l.faults = UDPFaults{}.withDefaults()
	if at, n := l.schedule(now, 1000); n != 1 || at[0].Sub(now) != time.Second {
		t.Errorf("got an arrival after %v", at[0].Sub(now))
	}
}

// echoServer answers each datagram with its source port and its content.
func echoServer(t *testing.T) string {
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

// udpClient is a client of the proxy.
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

// receive waits for an answer and returns its port and content.
func (c udpClient) receive(limit time.Duration) (port int, said string, err error) {
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
	port, said, err := c.receive(10 * time.Second)
	if err != nil || said != what {
		c.t.Fatalf("got %q and %v", said, err)
	}
	return port
}

func TestUDPProxyForwards(t *testing.T) {
	p := newUDP(t, echoServer(t), UDPOptions{})
	a, b := newUDPClient(t, p), newUDPClient(t, p)
	at, bt := a.ask("hello"), b.ask("others")
	if at == bt || a.ask("") != at || b.ask(string(testData(9000))) != bt {
		t.Errorf("got clients at ports %d and %d, want two", at, bt)
	}
	p.Rebind()
	if a.ask("again") == at {
		t.Error("got the same port after Rebind")
	}
	up, down, both := p.Count(Up), p.Count(Down), p.Count(Both)
	if up.Forwarded != 5 || up.Bytes != 5+6+9000+5 || down.Bytes != up.Bytes+10 || both.Forwarded != 10 || both.Dropped != 0 {
		t.Errorf("got counts %+v up, %+v down, %+v both", up, down, both)
	}
}

func TestUDPProxyDelays(t *testing.T) {
	const delay = 30 * time.Millisecond
	p := newUDP(t, echoServer(t), UDPOptions{Up: UDPFaults{Delay: delay}, Down: UDPFaults{Delay: 2 * delay}})
	c := newUDPClient(t, p)
	start := time.Now()
	c.ask("hello")
	if took := time.Since(start); took < 3*delay {
		t.Errorf("got a round trip of %v", took)
	}
}

func TestUDPProxyKeepsOrder(t *testing.T) {
	p := newUDP(t, echoServer(t), UDPOptions{Up: UDPFaults{Jitter: 20 * time.Millisecond, Ordered: true}, Down: UDPFaults{Duplicate: 1}})
	c := newUDPClient(t, p)
	for i := range 100 {
		mustWrite(t, c, []byte{byte(i)})
	}
	for i := range 200 {
		if _, said, err := c.receive(10 * time.Second); err != nil || said != string([]byte{byte(i / 2)}) {
			t.Fatalf("datagram %d: got %q and %v", i, said, err)
		}
	}
}

func TestUDPProxyBlackHole(t *testing.T) {
	p := newUDP(t, echoServer(t), UDPOptions{})
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
		if _, said, err := c.receive(50 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %q and %v, want a timeout", said, err)
		}
		if n := p.Count(Both).Dropped - before; n != 1 {
			t.Errorf("got %d datagrams lost", n)
		}
		dark(false)
		c.ask("hello")
	}
}

func TestUDPProxyClosesWithDatagramsInFlight(t *testing.T) {
	p := newUDP(t, echoServer(t), UDPOptions{Up: UDPFaults{Delay: time.Hour}})
	c := newUDPClient(t, p)
	for range 100 {
		mustWrite(t, c, []byte("late"))
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := NewUDPProxy("nowhere", UDPOptions{}); err == nil {
		t.Error("NewUDPProxy without a port: got nil, want an error")
	}
}
