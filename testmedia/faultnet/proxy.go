package faultnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy forwards TCP connections between real sockets. Each runs over a Wire, and a Reset of the wire
// becomes a real one. The kernel's buffers at both ends add to Shape.Buffer.
type Proxy struct {
	target   string
	listener net.Listener
	ctx      context.Context //nolint:containedctx // ends dials in Close
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	options func(n int) Options
	wires   []*Wire
	links   map[*link]struct{}
	refuse  bool
	closed  bool
}

// NewProxy listens on a free port of the loopback interface and forwards connections to target
// (host:port). It calls options for each connection, with the connection's number from 0. If options is
// nil, connections have no faults.
func NewProxy(target string, options func(n int) Options) (*Proxy, error) {
	if options == nil {
		options = func(int) Options { return Options{} }
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("fault proxy: %w", err)
	}
	p := &Proxy{target: target, listener: l, options: options, links: map[*link]struct{}{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.running.Go(p.serve)
	return p, nil
}

// Addr returns the host:port to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Refuse sets whether new connections are reset at once.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

// Wire returns the wire of the i-th connection accepted, from 0, or nil if there is none yet.
func (p *Proxy) Wire(i int) *Wire {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i >= len(p.wires) {
		return nil
	}
	return p.wires[i]
}

// Do applies a fault to all connections made so far.
func (p *Proxy) Do(f Fault, d Direction) {
	p.mu.Lock()
	wires := p.wires
	p.mu.Unlock()
	for _, w := range wires {
		w.Do(f, d)
	}
}

// Close resets all connections and waits for the goroutines of the proxy.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	for l := range p.links {
		l.wire.Do(Reset, Both)
		resetSocket(l.client)
		if l.server != nil {
			resetSocket(l.server)
		}
	}
	p.mu.Unlock()
	p.cancel()
	err := p.listener.Close()
	p.running.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("fault proxy: %w", err)
	}
	return nil
}

func (p *Proxy) serve() {
	const pause = 10 * time.Millisecond
	for {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no more descriptors, or a peer that closed at once
			select {
			case <-p.ctx.Done():
				return
			case <-time.After(pause):
			}
			continue
		}
		p.running.Go(func() { p.carry(c) })
	}
}

// carry forwards one connection until it ends. Its wire exists before the target sees the connection.
func (p *Proxy) carry(client net.Conn) {
	l := &link{client: client}
	if !p.add(l) {
		resetSocket(client)
		return
	}
	defer p.remove(l)
	if err := p.dial(l); err != nil {
		resetSocket(client)
		_ = l.near.Close()
		_ = l.far.Close()
		return
	}
	l.run()
}

// add registers a connection. It returns false if the connection must be reset.
func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.refuse {
		return false
	}
	l.near, l.far, l.wire = Pair(p.options(len(p.wires)))
	p.wires = append(p.wires, l.wire)
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

func (p *Proxy) dial(l *link) error {
	server, err := new(net.Dialer).DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed { // Close has not seen this socket
		resetSocket(server)
		return net.ErrClosed
	}
	l.server = server
	return nil
}

// link is one connection: client ⇄ near ⇄ wire ⇄ far ⇄ server.
type link struct {
	client, server net.Conn // the proxy's lock guards server until run is called
	near, far      *Conn
	wire           *Wire
}

func (l *link) run() {
	var pumps sync.WaitGroup
	clientEnded, serverEnded := make(chan struct{}), make(chan struct{})
	pumps.Go(func() { defer close(clientEnded); l.copyToWire(l.near, l.client) })
	pumps.Go(func() { defer close(serverEnded); l.copyToWire(l.far, l.server) })
	pumps.Go(func() { l.copyFromWire(l.client, l.near, clientEnded) })
	pumps.Go(func() { l.copyFromWire(l.server, l.far, serverEnded) })
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-l.wire.broken:
			// A copyFromWire that is waiting for its socket does not see the reset.
			if l.wire.lostData() {
				l.reset()
			}
		case <-done:
		}
	})
	pumps.Wait()
	close(done)
	watch.Wait()
	_ = l.near.Close()
	_ = l.far.Close()
	_ = l.client.Close()
	_ = l.server.Close()
}

func (l *link) reset() {
	resetSocket(l.client)
	resetSocket(l.server)
}

// copyToWire copies what a socket sends to the wire. When the socket ends, it closes or aborts its end of
// the wire.
func (l *link) copyToWire(end *Conn, socket net.Conn) {
	_, err := io.Copy(onlyWriter{end}, onlyReader{socket})
	if err == nil {
		_ = end.CloseWrite()
		return
	}
	end.Abort()
}

// copyFromWire copies what the wire delivers to a socket. When the wire ends, it waits for the socket to
// end too, since a reset may still arrive.
func (l *link) copyFromWire(socket net.Conn, end *Conn, ended <-chan struct{}) {
	_, err := io.Copy(onlyWriter{socket}, onlyReader{end})
	if half, ok := socket.(interface{ CloseWrite() error }); err == nil && ok {
		_ = half.CloseWrite()
		select {
		case <-ended:
			return
		case <-l.wire.broken:
		}
	}
	resetSocket(socket)
	end.Abort()
}

// onlyWriter and onlyReader keep io.Copy from splicing sockets.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

// resetSocket resets a socket.
func resetSocket(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
