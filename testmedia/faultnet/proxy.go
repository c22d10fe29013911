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

// Proxy stands between real TCP sockets. Each connection runs over a Wire; a Reset of that
// becomes a real one. The kernel's buffers on both sides come on top of Shape.Buffer.
type Proxy struct {
	target   string
	listener net.Listener
	ctx      context.Context //nolint:containedctx // ends dials in Close
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex // guards what follows
	options func(n int) Options
	wires   []*Wire
	links   map[*link]struct{}
	refuse  bool
	closed  bool
}

// NewProxy listens on a free port of the loopback interface and connects what comes to
// target, a host:port. Connections are made as options says, which is given their number,
// from 0; nil is without faults.
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

// Addr is the host:port to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Refuse has connections reset as soon as they are made, or taken again.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

// Wire is that of connection number i, counted from 0 as they came; nil if there was none
// yet.
func (p *Proxy) Wire(i int) *Wire {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i >= len(p.wires) {
		return nil
	}
	return p.wires[i]
}

// Do puts a fault on all connections made so far.
func (p *Proxy) Do(f Fault, d Direction) {
	p.mu.Lock()
	wires := p.wires
	p.mu.Unlock()
	for _, w := range wires {
		w.Do(f, d)
	}
}

// Close resets all connections and waits until nothing of the proxy runs.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	for l := range p.links {
		l.wire.Do(Reset, Both)
		kill(l.client)
		if l.server != nil {
			kill(l.server)
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
		if err != nil { // out of descriptors, or a peer that left at once
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

// carry runs one connection to its end. Its wire is there before the target hears of it.
func (p *Proxy) carry(client net.Conn) {
	l := &link{client: client}
	if !p.add(l) {
		kill(client)
		return
	}
	defer p.remove(l)
	if err := p.dial(l); err != nil {
		kill(client)
		_ = l.near.Close()
		_ = l.far.Close()
		return
	}
	l.run()
}

// add tells whether the connection may go on.
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
	if p.closed { // and has not seen this socket
		kill(server)
		return net.ErrClosed
	}
	l.server = server
	return nil
}

// link is one connection: client ⇄ near ⇄ wire ⇄ far ⇄ server.
type link struct {
	client, server net.Conn // server is guarded by the proxy's lock until run
	near, far      *Conn
	wire           *Wire
}

func (l *link) run() {
	var pumps sync.WaitGroup
	clientEnded, serverEnded := make(chan struct{}), make(chan struct{})
	pumps.Go(func() { defer close(clientEnded); l.feed(l.near, l.client) })
	pumps.Go(func() { defer close(serverEnded); l.feed(l.far, l.server) })
	pumps.Go(func() { l.drain(l.client, l.near, clientEnded) })
	pumps.Go(func() { l.drain(l.server, l.far, serverEnded) })
	over := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-l.wire.broken:
			// A drain that waits for its socket does not see it.
			if l.wire.lost() {
				l.kill()
			}
		case <-over:
		}
	})
	pumps.Wait()
	close(over)
	watch.Wait()
	_ = l.near.Close()
	_ = l.far.Close()
	_ = l.client.Close()
	_ = l.server.Close()
}

func (l *link) kill() {
	kill(l.client)
	kill(l.server)
}

// feed carries what a socket sends onto the wire. The socket's end is told to the wire,
// which passes it on, or not.
func (l *link) feed(end *Conn, socket net.Conn) {
	_, err := io.Copy(onlyWriter{end}, onlyReader{socket})
	if err == nil {
		_ = end.CloseWrite()
		return
	}
	end.Abort()
}

// drain carries what the wire delivers to a socket. After the end of that it stays until the
// socket has ended as well, for a reset may come yet.
func (l *link) drain(socket net.Conn, end *Conn, ended <-chan struct{}) {
	_, err := io.Copy(onlyWriter{socket}, onlyReader{end})
	if half, ok := socket.(interface{ CloseWrite() error }); err == nil && ok {
		_ = half.CloseWrite()
		select {
		case <-ended:
			return
		case <-l.wire.broken:
		}
	}
	kill(socket)
	end.Abort()
}

// onlyWriter and onlyReader keep io.Copy from splicing socket to socket.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

// kill resets a socket.
func kill(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
