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

// UDPOptions are a UDPProxy's.
type UDPOptions struct {
	Seed     uint64
	Up, Down UDPFaults
}

// UDPCount is what became of a direction's datagrams.
type UDPCount struct {
	Forwarded int // that were handed on; duplicates count
	Bytes     int // of those
	Dropped   int
}

// UDPProxy stands between real UDP sockets: the target sees each client under an address of
// its own, which the client keeps until Close or Rebind.
type UDPProxy struct {
	target  *net.UDPAddr
	socket  *net.UDPConn
	wake    chan struct{}
	stop    chan struct{}
	running sync.WaitGroup

	mu       sync.Mutex // guards what follows
	lines    map[Direction]*udpLine
	counts   map[Direction]*UDPCount
	clients  map[netip.AddrPort]*net.UDPConn
	underWay udpQueue
	sent     uint64
	closed   bool
}

// NewUDPProxy listens on a free port of the loopback interface and relays between what
// comes there and target, a host:port.
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
	widen(p.socket)
	p.running.Go(p.listen)
	p.running.Go(p.deliver)
	return p, nil
}

// widen has the kernel hold more: what is lost should be lost by the faults.
func widen(c *net.UDPConn) {
	const bytes = 4 << 20
	_ = c.SetReadBuffer(bytes)
	_ = c.SetWriteBuffer(bytes)
}

// Addr is the host:port to send to.
func (p *UDPProxy) Addr() string { return p.socket.LocalAddr().String() }

// Port is that of Addr.
func (p *UDPProxy) Port() int { return p.socket.LocalAddr().(*net.UDPAddr).Port }

// each calls f for the one or two directions.
func (d Direction) each(f func(Direction)) {
	for _, one := range []Direction{Up, Down} {
		if d&one != 0 {
			f(one)
		}
	}
}

// Set changes the faults of what is sent from now on.
func (p *UDPProxy) Set(d Direction, f UDPFaults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.each(func(d Direction) { p.lines[d].faults = f.withDefaults() })
}

// BlackHole has nothing pass, or all again. What is under way arrives.
func (p *UDPProxy) BlackHole(d Direction, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.each(func(d Direction) { p.lines[d].dark = on })
}

// Rebind has the target see clients under new addresses, as after a router's restart. What
// it sends to the old ones is lost.
func (p *UDPProxy) Rebind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for from, c := range p.clients {
		_ = c.Close()
		delete(p.clients, from)
	}
}

// Count tells what became of the datagrams so far.
func (p *UDPProxy) Count(d Direction) (n UDPCount) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.each(func(d Direction) {
		n.Forwarded += p.counts[d].Forwarded
		n.Bytes += p.counts[d].Bytes
		n.Dropped += p.counts[d].Dropped
	})
	return n
}

// Close waits until nothing of the proxy runs. What is under way is lost.
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

// datagram is one under way.
type datagram struct {
	at   time.Time
	seq  uint64 // of two at the same time the first goes first
	dir  Direction
	data []byte
	via  *net.UDPConn   // the client's at the target
	to   netip.AddrPort // the client
}

// listen takes what clients send.
func (p *UDPProxy) listen() {
	b := make([]byte, 1<<16)
	for {
		n, from, err := p.socket.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if via := p.client(from); via != nil {
			p.send(datagram{dir: Up, via: via, to: from}, b[:n])
		}
	}
}

// client is a client's socket at the target; nil after Close, and where the system has no
// more.
func (p *UDPProxy) client(from netip.AddrPort) *net.UDPConn {
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
	widen(c)
	p.clients[from] = c
	p.running.Go(func() { p.answer(c, from) })
	return c
}

// answer takes what the target sends to a client. Errors but the socket's end are a target
// that does not listen for a while.
func (p *UDPProxy) answer(c *net.UDPConn, to netip.AddrPort) {
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

// send puts a datagram on the line.
func (p *UDPProxy) send(d datagram, data []byte) {
	p.mu.Lock()
	at, times := p.lines[d.dir].pass(time.Now(), len(data))
	if times == 0 {
		p.counts[d.dir].Dropped++
	}
	d.data = append([]byte(nil), data...)
	for _, d.at = range at[:times] {
		d.seq = p.sent
		p.sent++
		heap.Push(&p.underWay, d)
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// deliver hands datagrams on when it is their time.
func (p *UDPProxy) deliver() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		d, wait, due := p.next()
		if due {
			p.handOn(d)
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

// next is the first datagram if it is due, and else how long to wait.
func (p *UDPProxy) next() (d datagram, wait time.Duration, due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.underWay) == 0 {
		return d, time.Hour, false
	}
	if wait = time.Until(p.underWay[0].at); wait > 0 {
		return d, wait, false
	}
	return heap.Pop(&p.underWay).(datagram), 0, true
}

func (p *UDPProxy) handOn(d datagram) {
	// Counted before the peer can answer.
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

// udpQueue is a heap by time.
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
