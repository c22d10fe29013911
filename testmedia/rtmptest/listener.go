package rtmptest

import (
	"net"
	"sync"
)

// Listener is a net.Listener of in-memory connections.
type Listener struct {
	next chan net.Conn
	done chan struct{}
	once sync.Once
}

// Listen returns a Listener.
func Listen() *Listener { return &Listener{next: make(chan net.Conn), done: make(chan struct{})} }

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.next:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: "rtmptest", Net: "pipe"} }

// Dial returns the client's end of a new connection once it has been accepted.
func (l *Listener) Dial() net.Conn {
	client, server := net.Pipe()
	l.next <- server
	return client
}
