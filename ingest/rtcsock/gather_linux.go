package rtcsock

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// gatherTime is how long a peer's first packet waits for more.
	gatherTime = 500 * time.Microsecond
	// closeTime is how long Close waits for a full socket.
	closeTime = time.Second
	// maxWaiting bounds the peers for which something waits; packets to others are then
	// sent as they come.
	maxWaiting = 4096
	// triesToBelieve is after how many refusals, if it never worked, the system is taken
	// for one that cannot cut packets. A single refusal may be that of one peer's line.
	triesToBelieve = 16
)

// gatherer is what Gathered has on Linux.
type gatherer struct {
	raw      syscall.RawConn // nil if nothing is gathered
	sixes    bool            // the socket is one of IPv6, with or without IPv4
	sendmsg  func(fd int, data, control []byte, to unix.Sockaddr) error
	batches  sync.Pool // of *batch; one that waits for nobody may be in it
	wake     chan struct{}
	stop     chan struct{}
	ended    chan struct{}
	plain    atomic.Bool  // cutting was given up
	worked   atomic.Bool  // cutting has worked once
	failures atomic.Int64 // of cutting
	counts   struct{ packets, sends, waited, refused atomic.Uint64 }

	// mu guards what follows. A batch's lock is taken before it, not after.
	mu      sync.RWMutex
	waiting map[netip.AddrPort]*batch
	closed  bool
}

// gather takes the socket over. Close ends what it starts.
func gather(c *net.UDPConn) *Gathered { return gatherWith(c, sendmsg) }

func gatherWith(c *net.UDPConn, send func(int, []byte, []byte, unix.Sockaddr) error) *Gathered {
	g := &Gathered{conn: c}
	g.sendmsg = send
	g.waiting = map[netip.AddrPort]*batch{}
	g.wake, g.stop, g.ended = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	g.batches.New = func() any { return newBatch(&g.gatherer) }
	if raw, err := c.SyscallConn(); err == nil && g.examine(raw) {
		g.raw = raw
	} else {
		g.plain.Store(true)
	}
	go g.run()
	return g
}

// examine tells whether the socket can cut packets. A kernel that does not know of it sends
// all of a batch as one packet and reports nothing, so it is asked first.
func (g *gatherer) examine(raw syscall.RawConn) (able bool) {
	_ = raw.Control(func(fd uintptr) {
		family, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN) //nolint:gosec // a descriptor fits
		if err != nil {
			return
		}
		_, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT) //nolint:gosec // a descriptor fits
		able, g.sixes = err == nil, family == unix.AF_INET6
	})
	return able
}

// sendmsg does not wait.
func sendmsg(fd int, data, control []byte, to unix.Sockaddr) error {
	for {
		_, err := unix.SendmsgN(fd, data, control, to, unix.MSG_DONTWAIT)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// WriteToAddrPort sends a packet, soon; b may be changed when it returns. The error may be
// that of packets which were written before this one, and of most there is none: Sent counts
// them.
func (g *Gathered) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	g.counts.packets.Add(1)
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	for {
		w, err := g.batch(to)
		if err != nil {
			g.counts.refused.Add(1)
			return 0, &net.OpError{Op: "write", Net: "udp", Source: g.LocalAddr(), Addr: net.UDPAddrFromAddrPort(to), Err: err}
		}
		if w == nil {
			return g.writeAlone(b, to)
		}
		w.mu.Lock()
		if w.to != to { // it was sent meanwhile
			w.mu.Unlock()
			continue
		}
		err = w.add(b)
		w.mu.Unlock()
		if err != nil {
			return 0, &net.OpError{Op: "write", Net: "udp", Source: g.LocalAddr(), Addr: net.UDPAddrFromAddrPort(to), Err: err}
		}
		return len(b), nil
	}
}

// writeAlone sends a packet of a peer for whom nothing waits.
func (g *Gathered) writeAlone(b []byte, to netip.AddrPort) (int, error) {
	g.counts.sends.Add(1)
	n, err := g.conn.WriteToUDPAddrPort(b, to)
	if err != nil {
		g.counts.refused.Add(1)
	}
	return n, err
}

// batch is the peer's; nil if its packets are to be sent as they come.
func (g *gatherer) batch(to netip.AddrPort) (*batch, error) {
	g.mu.RLock()
	b, closed := g.waiting[to], g.closed
	g.mu.RUnlock()
	if closed {
		return nil, net.ErrClosed
	}
	if b != nil || g.plain.Load() || !g.reaches(to.Addr()) {
		return b, nil
	}
	return g.newPeer(to)
}

// reaches tells whether an address is made of what a batch knows: not a zone, and not IPv6
// on a socket of IPv4, to which the net package has an answer.
func (g *gatherer) reaches(a netip.Addr) bool {
	return a.IsValid() && a.Zone() == "" && (a.Is4() || g.sixes)
}

func (g *gatherer) newPeer(to netip.AddrPort) (*batch, error) {
	b, first, err := g.enter(g.batches.Get().(*batch), to)
	if first {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
	return b, err
}

// enter has the table know the peer. Whoever still holds the batch from an earlier life sees
// the new peer in it only once it is in the table.
func (g *gatherer) enter(fresh *batch, to netip.AddrPort) (b *batch, first bool, err error) {
	fresh.mu.Lock()
	defer fresh.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	b = g.waiting[to]
	if b != nil || g.closed || len(g.waiting) >= maxWaiting {
		g.batches.Put(fresh)
		if g.closed {
			err = net.ErrClosed
		}
		return b, false, err
	}
	fresh.address(to, g.sixes)
	g.waiting[to] = fresh
	return fresh, len(g.waiting) == 1, nil
}

// run sends what has waited long enough. It sleeps while nothing waits.
func (g *Gathered) run() {
	defer close(g.ended)
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	for {
		select {
		case <-g.wake:
		case <-g.stop:
			return
		}
		for more := true; more; more = g.waits() {
			timer.Reset(gatherTime)
			select {
			case <-timer.C:
			case <-g.stop:
				return
			}
			g.Flush()
		}
	}
}

// waits tells whether something came while Flush ran: of that there was no wake.
func (g *gatherer) waits() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.waiting) > 0
}

// Flush sends what waits, and what waits no more is forgotten. Whoever has written all there
// is saves the wait by it.
func (g *Gathered) Flush() {
	g.mu.RLock()
	all := make([]*batch, 0, len(g.waiting))
	for _, b := range g.waiting {
		all = append(all, b)
	}
	g.mu.RUnlock()
	for _, b := range all {
		g.finish(b)
	}
}

// finish sends a batch and forgets its peer. One that another Flush has finished may wait for
// another peer by now: it is sent early.
func (g *gatherer) finish(b *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.to.IsValid() {
		return
	}
	_ = b.send() // is counted
	g.mu.Lock()
	delete(g.waiting, b.to)
	g.mu.Unlock()
	b.to = netip.AddrPort{}
	g.batches.Put(b)
}

// cannotCut takes note of a refusal.
func (g *gatherer) cannotCut(err error) {
	n := g.failures.Add(1)
	if errors.Is(err, unix.EIO) || n >= triesToBelieve && !g.worked.Load() {
		g.plain.Store(true)
	}
}

// Sent tells what was written so far.
func (g *Gathered) Sent() Sent {
	return Sent{Packets: g.counts.packets.Load(), Sends: g.counts.sends.Load(), Waited: g.counts.waited.Load(), Refused: g.counts.refused.Load()}
}

// Close sends what waits, closes the socket and waits until nothing runs.
func (g *Gathered) Close() error {
	g.mu.Lock()
	again := g.closed
	g.closed = true
	g.mu.Unlock()
	if again {
		return &net.OpError{Op: "close", Net: "udp", Source: g.LocalAddr(), Err: net.ErrClosed}
	}
	_ = g.conn.SetWriteDeadline(time.Now().Add(closeTime))
	close(g.stop)
	<-g.ended
	g.Flush()
	return g.conn.Close()
}
