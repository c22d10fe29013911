package faultnet

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// Network is an in-memory network with listeners and dials by name.
type Network struct {
	mu        sync.Mutex // guards the fields below
	options   func(n int) Options
	dialled   int
	listeners map[string]*Listener
	wires     []*Wire
	dark      bool
}

// NewNetwork returns a network. It calls options for each connection, with the connection's number from 0.
// If options is nil, connections have no faults.
func NewNetwork(options func(n int) Options) *Network {
	if options == nil {
		options = func(int) Options { return Options{} }
	}
	return &Network{options: options, listeners: map[string]*Listener{}}
}

// backlog is how many connections may wait for Accept before a dial waits.
const backlog = 128

// Listen listens on addr, which may be any string. It returns EADDRINUSE if another listener has the
// address.
func (n *Network) Listen(addr string) (*Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "faultnet", Addr: Addr(addr), Err: syscall.EADDRINUSE}
	}
	l := &Listener{network: n, addr: Addr(addr), incoming: make(chan *Conn, backlog), done: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

// SetDark sets whether dials remain unanswered until their context is done, as behind a dead router.
func (n *Network) SetDark(dark bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dark = dark
}

// DialContext connects to the listener on addr. It returns ECONNREFUSED if there is none. The network
// argument is ignored; it is there as in net.Dialer.
func (n *Network) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "faultnet", Addr: Addr(addr), Err: err}
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	n.mu.Lock()
	if n.dark {
		n.mu.Unlock()
		<-ctx.Done()
		return fail(ctx.Err())
	}
	l := n.listeners[addr]
	if l == nil {
		n.mu.Unlock()
		return fail(syscall.ECONNREFUSED)
	}
	number := n.dialled
	n.dialled++
	client, server, w := pair(n.options(number), Addr(fmt.Sprintf("client-%d", number)), Addr(addr))
	n.wires = append(n.wires, w)
	n.mu.Unlock()

	select {
	case l.incoming <- server:
		select {
		case <-l.done: // closed at the same moment, so Accept will not return it
			_ = l.Close()
		default:
		}
		return client, nil
	case <-l.done:
		closeBoth(client, server)
		return fail(syscall.ECONNREFUSED)
	case <-ctx.Done():
		closeBoth(client, server)
		return fail(ctx.Err())
	}
}

func closeBoth(a, b *Conn) {
	_ = a.Close()
	_ = b.Close()
}

// Wire returns the wire of the i-th connection dialed, from 0, or nil if there is none yet.
func (n *Network) Wire(i int) *Wire {
	n.mu.Lock()
	defer n.mu.Unlock()
	if i >= len(n.wires) {
		return nil
	}
	return n.wires[i]
}

// Do applies a fault to all connections made so far.
func (n *Network) Do(f Fault, d Direction) {
	n.mu.Lock()
	wires := n.wires
	n.mu.Unlock()
	for _, w := range wires {
		w.Do(f, d)
	}
}

// Listener is an in-memory net.Listener.
type Listener struct {
	network  *Network
	addr     Addr
	incoming chan *Conn
	done     chan struct{}
	once     sync.Once
}

var _ net.Listener = (*Listener)(nil)

// Accept waits for a connection. It returns net.ErrClosed after Close.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.done: // even if connections are waiting
	default:
		select {
		case c := <-l.incoming:
			return c, nil
		case <-l.done:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "faultnet", Addr: l.addr, Err: net.ErrClosed}
}

// Close frees the address and resets the connections that were not accepted.
func (l *Listener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		delete(l.network.listeners, string(l.addr))
		l.network.mu.Unlock()
		close(l.done)
	})
	for {
		select {
		case c := <-l.incoming:
			c.wire.Do(Reset, Both)
			_ = c.Close()
		default:
			return nil
		}
	}
}

// Addr returns the address of the listener.
func (l *Listener) Addr() net.Addr { return l.addr }
