package route

import (
	"context"
	"net"
	"sync"

	"github.com/holdfast-live/holdfast/relay/route/link"
)

// loops knows the near ends of this relay's own pushes, so that a push that leads back to the
// relay can be told from a publisher.
type loops struct {
	mu     sync.Mutex // guards all below
	stream map[string]string
	order  []string // of coming, to be forgotten
}

// knownLoops bounds the connections that are remembered: a push that leads here is accepted, or
// not, at once.
const knownLoops = 4096

func newLoops() *loops { return &loops{stream: map[string]string{}} }

// through has what is dialled for a stream remembered.
func (l *loops) through(dial link.DialFunc, stream string) link.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err == nil {
			l.note(conn.LocalAddr().String(), stream)
		}
		return conn, err
	}
}

func (l *loops) note(local, stream string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream[local] == "" {
		l.order = append(l.order, local)
	}
	l.stream[local] = stream
	if len(l.order) > knownLoops {
		delete(l.stream, l.order[0])
		l.order = l.order[1:]
	}
}

// of is the stream that is pushed from a near end; empty: none.
func (l *loops) of(local string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stream[local]
}

// Pushes is the stream that this relay itself pushes over the connection whose near end is
// remote, host:port; empty: it is somebody else's.
func (r *Routes) Pushes(remote string) string { return r.loops.of(remote) }
