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
	// maxGatherTime is how long the first packet to a peer waits for further packets.
	maxGatherTime = 500 * time.Microsecond
	// closeTimeout is how long Close waits for room in the socket buffer.
	closeTimeout = time.Second
	// maxWaitingPeers bounds the number of peers with waiting packets. Packets to further peers are
	// sent at once.
	maxWaitingPeers = 4096
	// maxSplitFailures is the number of failures after which split sends are given up if none has
	// succeeded. A single failure may be due to the path to one peer.
	maxSplitFailures = 16
)

// gatherer is the implementation of Gathered on Linux.
type gatherer struct {
	raw           syscall.RawConn // nil if packets are sent one by one
	ipv6          bool            // the socket is an IPv6 socket, with or without IPv4
	sendmsg       func(fd int, data, control []byte, to unix.Sockaddr) error
	batches       sync.Pool // of *batch, none of which has waiting packets
	wake          chan struct{}
	stop          chan struct{}
	done          chan struct{}
	splitDisabled atomic.Bool // splitting was given up
	splitWorked   atomic.Bool // splitting has succeeded once
	splitFailures atomic.Int64
	counts        struct{ packets, sends, waited, refused atomic.Uint64 }

	// mu guards the fields below. It may be locked while a batch's lock is held, but not the
	// reverse.
	mu      sync.RWMutex
	waiting map[netip.AddrPort]*batch
	closed  bool
}

// gather returns a Gathered that takes over c. It starts a goroutine, which Close ends.
func gather(c *net.UDPConn) *Gathered { return gatherWith(c, sendmsg) }

func gatherWith(c *net.UDPConn, send func(int, []byte, []byte, unix.Sockaddr) error) *Gathered {
	g := &Gathered{conn: c}
	g.sendmsg = send
	g.waiting = map[netip.AddrPort]*batch{}
	g.wake, g.stop, g.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	g.batches.New = func() any { return newBatch(&g.gatherer) }
	if raw, err := c.SyscallConn(); err == nil && g.canSplit(raw) {
		g.raw = raw
	} else {
		g.splitDisabled.Store(true)
	}
	go g.run()
	return g
}

// canSplit reports whether the system can split sends. It queries the socket option, because a
// kernel without support sends a whole batch as one packet, without an error.
func (g *gatherer) canSplit(raw syscall.RawConn) (able bool) {
	_ = raw.Control(func(fd uintptr) {
		family, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN) //nolint:gosec // a descriptor fits
		if err != nil {
			return
		}
		_, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT) //nolint:gosec // a descriptor fits
		able, g.ipv6 = err == nil, family == unix.AF_INET6
	})
	return able
}

// sendmsg sends without blocking. The error is EAGAIN if the socket buffer is full.
func sendmsg(fd int, data, control []byte, to unix.Sockaddr) error {
	for {
		_, err := unix.SendmsgN(fd, data, control, to, unix.MSG_DONTWAIT)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// WriteToAddrPort sends a packet, at the latest after about maxGatherTime. The caller may change b
// when it returns. The error may be about earlier packets. Most lost packets cause no error; Sent
// counts them.
func (g *Gathered) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	g.counts.packets.Add(1)
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	for {
		w, err := g.batchFor(to)
		if err != nil {
			g.counts.refused.Add(1)
			return 0, &net.OpError{Op: "write", Net: "udp", Source: g.LocalAddr(), Addr: net.UDPAddrFromAddrPort(to), Err: err}
		}
		if w == nil {
			return g.writeAlone(b, to)
		}
		w.mu.Lock()
		if w.to != to { // the batch was sent in the meantime
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

// writeAlone sends a packet without batching.
func (g *Gathered) writeAlone(b []byte, to netip.AddrPort) (int, error) {
	g.counts.sends.Add(1)
	n, err := g.conn.WriteToUDPAddrPort(b, to)
	if err != nil {
		g.counts.refused.Add(1)
	}
	return n, err
}

// batchFor returns the peer's batch, or nil if packets to the peer must be sent at once.
func (g *gatherer) batchFor(to netip.AddrPort) (*batch, error) {
	g.mu.RLock()
	b, closed := g.waiting[to], g.closed
	g.mu.RUnlock()
	if closed {
		return nil, net.ErrClosed
	}
	if b != nil || g.splitDisabled.Load() || !g.canBatch(to.Addr()) {
		return b, nil
	}
	return g.newPeer(to)
}

// canBatch reports whether a batch can be sent to the address. It cannot if the address has a zone,
// or is an IPv6 address and the socket is not. Packets to such addresses are sent by the net
// package, which returns the error.
func (g *gatherer) canBatch(a netip.Addr) bool {
	return a.IsValid() && a.Zone() == "" && (a.Is4() || g.ipv6)
}

func (g *gatherer) newPeer(to netip.AddrPort) (*batch, error) {
	b, first, err := g.addPeer(g.batches.Get().(*batch), to)
	if first {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
	return b, err
}

// addPeer adds the peer to g.waiting with the batch fresh, unless the peer already has a batch.
// first reports whether no other peer is waiting. It holds the lock of fresh: a goroutine that
// still has the batch from an earlier use must not see the new peer before it is in g.waiting.
func (g *gatherer) addPeer(fresh *batch, to netip.AddrPort) (b *batch, first bool, err error) {
	fresh.mu.Lock()
	defer fresh.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	b = g.waiting[to]
	if b != nil || g.closed || len(g.waiting) >= maxWaitingPeers {
		g.batches.Put(fresh)
		if g.closed {
			err = net.ErrClosed
		}
		return b, false, err
	}
	fresh.assign(to, g.ipv6)
	g.waiting[to] = fresh
	return fresh, len(g.waiting) == 1, nil
}

// run sends packets that have waited for maxGatherTime. It sleeps while no packets wait.
func (g *Gathered) run() {
	defer close(g.done)
	timer := time.NewTimer(maxGatherTime)
	defer timer.Stop()
	for {
		select {
		case <-g.wake:
		case <-g.stop:
			return
		}
		for more := true; more; more = g.hasWaiting() {
			timer.Reset(maxGatherTime)
			select {
			case <-timer.C:
			case <-g.stop:
				return
			}
			g.Flush()
		}
	}
}

// hasWaiting reports whether packets wait. Packets that arrived during Flush may not have caused a
// wake.
func (g *gatherer) hasWaiting() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.waiting) > 0
}

// Flush sends all waiting packets. A caller that has written its last packet calls it to avoid the
// wait.
func (g *Gathered) Flush() {
	g.mu.RLock()
	all := make([]*batch, 0, len(g.waiting))
	for _, b := range g.waiting {
		all = append(all, b)
	}
	g.mu.RUnlock()
	for _, b := range all {
		g.sendAndRemove(b)
	}
}

// sendAndRemove sends a batch and removes its peer from g.waiting. If a concurrent Flush has done
// so already, the batch may hold packets to another peer, which are then sent early.
func (g *gatherer) sendAndRemove(b *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.to.IsValid() {
		return
	}
	_ = b.send() // the errors are counted
	g.mu.Lock()
	delete(g.waiting, b.to)
	g.mu.Unlock()
	b.to = netip.AddrPort{}
	g.batches.Put(b)
}

// recordSplitFailure records that a split send failed with err. After EIO, or after
// maxSplitFailures failures without a success, sends are no longer split.
func (g *gatherer) recordSplitFailure(err error) {
	n := g.splitFailures.Add(1)
	if errors.Is(err, unix.EIO) || n >= maxSplitFailures && !g.splitWorked.Load() {
		g.splitDisabled.Store(true)
	}
}

// Sent returns the counts so far.
func (g *Gathered) Sent() Sent {
	return Sent{Packets: g.counts.packets.Load(), Sends: g.counts.sends.Load(), Waited: g.counts.waited.Load(), Refused: g.counts.refused.Load()}
}

// Close sends waiting packets, closes the socket and waits for the goroutine that gather started.
func (g *Gathered) Close() error {
	g.mu.Lock()
	again := g.closed
	g.closed = true
	g.mu.Unlock()
	if again {
		return &net.OpError{Op: "close", Net: "udp", Source: g.LocalAddr(), Err: net.ErrClosed}
	}
	_ = g.conn.SetWriteDeadline(time.Now().Add(closeTimeout))
	close(g.stop)
	<-g.done
	g.Flush()
	return g.conn.Close()
}
