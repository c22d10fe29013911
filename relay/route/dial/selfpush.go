package dial

import (
	"context"
	"net"
	"sync"

	"github.com/holdfast-live/holdfast/relay/route/link"
)

// SelfPush knows the local addresses from which this relay is dialing to push, so that a push that leads
// back to the relay itself can be told from a publisher. Such a push is answered by the relay before its
// dial returns; after that the address is forgotten, since a publisher may have it next.
type SelfPush struct {
	mu    sync.Mutex // guards local
	local map[string]*dialing
}

// dialing is one push that is being dialed.
type dialing struct{ stream string }

// NewSelfPush returns a SelfPush without addresses.
func NewSelfPush() *SelfPush { return &SelfPush{local: map[string]*dialing{}} }

// Through returns dial such that the addresses of its connections are kept, for a stream, until forget is
// called.
func (s *SelfPush) Through(dial link.DialFunc, stream string) (through link.DialFunc, forget func()) {
	d := &dialing{stream}
	through = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err == nil {
			s.mu.Lock()
			s.local[conn.LocalAddr().String()] = d
			s.mu.Unlock()
		}
		return conn, err
	}
	return through, func() { s.forget(d) }
}

func (s *SelfPush) forget(d *dialing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for local, known := range s.local {
		if known == d {
			delete(s.local, local)
		}
	}
}

// Stream returns the stream that is being pushed from a local address, host:port; empty: none.
func (s *SelfPush) Stream(local string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.local[local]; d != nil {
		return d.stream
	}
	return ""
}

// Len returns how many addresses are kept.
func (s *SelfPush) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.local)
}
