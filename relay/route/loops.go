package route

import (
	"context"
	"net"
	"sync"

	"github.com/holdfast-live/holdfast/relay/route/link"
)

// loops knows the near ends of the connections over which this relay is about to push, so that
// a push that leads back to the relay can be told from a publisher. Where a push leads here the
// relay has answered before the dial comes to its end: then the near end is forgotten, for the
// next who has it may be a publisher.
type loops struct {
	mu    sync.Mutex // guards all below
	nears map[string]*near
}

// near is a near end.
type near struct{ stream string }

func newLoops() *loops { return &loops{nears: map[string]*near{}} }

// through has what is dialled for a stream remembered until forget is called.
func (l *loops) through(dial link.DialFunc, stream string) (through link.DialFunc, forget func()) {
	n := &near{stream}
	through = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err == nil {
			l.mu.Lock()
			l.nears[conn.LocalAddr().String()] = n
			l.mu.Unlock()
		}
		return conn, err
	}
	return through, func() { l.forget(n) }
}

func (l *loops) forget(n *near) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for local, known := range l.nears {
		if known == n {
			delete(l.nears, local)
		}
	}
}

// of is the stream that is about to be pushed from a near end; empty: none.
func (l *loops) of(local string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.nears[local]; n != nil {
		return n.stream
	}
	return ""
}

// Pushes is the stream that this relay itself is about to push over the connection whose near
// end is remote, host:port; empty: it is somebody else's.
func (r *Routes) Pushes(remote string) string { return r.loops.of(remote) }
