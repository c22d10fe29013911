package faultnet

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// UDPOptions configures a UDPProxy.
type UDPOptions struct {
	Seed     uint64
	Up, Down UDPFaults
}

// UDPCount counts the datagrams of a direction.
type UDPCount struct {
	Forwarded int // including duplicates
	Bytes     int // in forwarded datagrams
	Dropped   int
}

// UDPProxy forwards datagrams between real UDP sockets. The target sees each client under an address that
// the client keeps until Close or Rebind.
type UDPProxy struct {
	target  *net.UDPAddr
	socket  *net.UDPConn
	wake    chan struct{}
	stop    chan struct{}
	running sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	lines   map[Direction]*udpLine
	counts  map[Direction]*UDPCount
	clients map[netip.AddrPort]*net.UDPConn
	queue   udpQueue
	sent    uint64
	closed  bool
}

// NewUDPProxy listens on a free port of the loopback interface and forwards datagrams to and from target
// (host:port).
func NewUDPProxy(target string, o UDPOptions) (*UDPProxy, error) {
	addr, err := net.ResolveUDPAddr("udp", target)
	if err != nil {
		return nil, fmt.Errorf("fault proxy: %w", err)
	}
	c, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("fault proxy: %w", err)
	}
	p := &UDPProxy{
		target: addr, socket: c.(*net.UDPConn), wake: make(chan struct{}, 1), stop: make(chan struct{}),
		lines:   map[Direction]*udpLine{Up: newUDPLine(o.Seed, Up, o.Up), Down: newUDPLine(o.Seed, Down, o.Down)},
		counts:  map[Direction]*UDPCount{Up: {}, Down: {}},
		clients: map[netip.AddrPort]*net.UDPConn{},
	}
	growBuffers(p.socket)
	p.running.Go(p.readClients)
	p.running.Go(p.deliver)
	return p, nil
}

// growBuffers enlarges the kernel's buffers, so that only the faults lose datagrams.
func growBuffers(c *net.UDPConn) {
	const bytes = 4 << 20
	_ = c.SetReadBuffer(bytes)
	_ = c.SetWriteBuffer(bytes)
}

// Addr returns the host:port to send to.
func (p *UDPProxy) Addr() string { return p.socket.LocalAddr().String() }

// Port returns the port of Addr.
func (p *UDPProxy) Port() int { return p.socket.LocalAddr().(*net.UDPAddr).Port }

// forEach calls f for each direction in d.
func (d Direction) forEach(f func(Direction)) {
	for _, one := range []Direction{Up, Down} {
		if d&one != 0 {
			f(one)
		}
	}
}

// Set changes the faults for datagrams sent from now on.
func (p *UDPProxy) Set(d Direction, f UDPFaults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.forEach(func(d Direction) { p.lines[d].faults = f.withDefaults() })
}

// BlackHole sets whether all datagrams sent from now on are lost. Datagrams in flight still arrive.
func (p *UDPProxy) BlackHole(d Direction, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.forEach(func(d Direction) { p.lines[d].blackHole = on })
}

// Rebind gives clients new addresses at the target, as after a restart of a router. Datagrams to the old
// addresses are lost.
func (p *UDPProxy) Rebind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for from, c := range p.clients {
		_ = c.Close()
		delete(p.clients, from)
	}
}

// Count returns the counts of the datagrams so far.
func (p *UDPProxy) Count(d Direction) (n UDPCount) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.forEach(func(d Direction) {
		n.Forwarded += p.counts[d].Forwarded
		n.Bytes += p.counts[d].Bytes
		n.Dropped += p.counts[d].Dropped
	})
	return n
}

// Close waits for the goroutines of the proxy. Datagrams in flight are lost.
func (p *UDPProxy) Close() error {
	p.mu.Lock()
	again := p.closed
	p.closed = true
	p.mu.Unlock()
	if again {
		return nil
	}
	close(p.stop)
	err := p.socket.Close()
	p.Rebind()
	p.running.Wait()
	if err != nil {
		return fmt.Errorf("fault proxy: %w", err)
	}
	return nil
}

// datagram is a datagram in flight.
type datagram struct {
	at   time.Time
	seq  uint64 // orders datagrams that arrive at the same time
	dir  Direction
	data []byte
	via  *net.UDPConn   // the client's socket to the target
	to   netip.AddrPort // the client's address
}

// readClients reads the datagrams of clients.
func (p *UDPProxy) readClients() {
	b := make([]byte, 1<<16)
	for {
		n, from, err := p.socket.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if via := p.clientSocket(from); via != nil {
			p.send(datagram{dir: Up, via: via, to: from}, b[:n])
		}
	}
}

// clientSocket returns the socket of a client to the target. It returns nil after Close, or if the system
// has no more sockets.
func (p *UDPProxy) clientSocket(from netip.AddrPort) *net.UDPConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.clients[from]; c != nil || p.closed {
		return c
	}
	c, err := net.DialUDP("udp", nil, p.target)
	if err != nil {
		p.counts[Up].Dropped++
		return nil
	}
	growBuffers(c)
	p.clients[from] = c
	p.running.Go(func() { p.readTarget(c, from) })
	return c
}

// readTarget reads the datagrams from the target to a client. An error other than a closed socket means
// that the target is not listening at the moment.
func (p *UDPProxy) readTarget(c *net.UDPConn, to netip.AddrPort) {
	b := make([]byte, 1<<16)
	for {
		n, err := c.Read(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.send(datagram{dir: Down, via: c, to: to}, b[:n])
		}
	}
}

// send sends a datagram over the line.
func (p *UDPProxy) send(d datagram, data []byte) {
	p.mu.Lock()
	at, times := p.lines[d.dir].schedule(time.Now(), len(data))
	if times == 0 {
		p.counts[d.dir].Dropped++
	}
	d.data = append([]byte(nil), data...)
	for _, d.at = range at[:times] {
		d.seq = p.sent
		p.sent++
		heap.Push(&p.queue, d)
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// deliver forwards datagrams when they are due.
func (p *UDPProxy) deliver() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		d, wait, due := p.next()
		if due {
			p.forward(d)
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-p.wake:
		case <-p.stop:
			return
		}
	}
}

// next returns the first datagram if it is due, or else how long to wait.
func (p *UDPProxy) next() (d datagram, wait time.Duration, due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.queue) == 0 {
		return d, time.Hour, false
	}
	if wait = time.Until(p.queue[0].at); wait > 0 {
		return d, wait, false
	}
	return heap.Pop(&p.queue).(datagram), 0, true
}

func (p *UDPProxy) forward(d datagram) {
	// Count before the peer can answer.
	p.mu.Lock()
	p.counts[d.dir].Forwarded++
	p.counts[d.dir].Bytes += len(d.data)
	p.mu.Unlock()
	var err error
	if d.dir == Up {
		_, err = d.via.Write(d.data)
	} else {
		_, err = p.socket.WriteToUDPAddrPort(d.data, d.to)
	}
	if err != nil {
		p.mu.Lock()
		p.counts[d.dir].Dropped++
		p.counts[d.dir].Forwarded--
		p.counts[d.dir].Bytes -= len(d.data)
		p.mu.Unlock()
	}
}

// udpQueue is a heap ordered by time.
type udpQueue []datagram

func (q udpQueue) Len() int      { return len(q) }
func (q udpQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *udpQueue) Push(d any)   { *q = append(*q, d.(datagram)) }
func (q udpQueue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].seq < q[j].seq
}

func (q *udpQueue) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	(*q)[last] = datagram{}
	*q = (*q)[:last]
	return d
}
