package dial

import (
	"context"
	"net"
	"sync"

	"github.com/holdfast-live/holdfast/relay/route/link"
)

// SelfPush records the local addresses from which this relay is dialing to push. With them, an ingest can
// tell a push from the relay to itself from a publisher. The relay answers such a push before its dial
// returns. After that the address is forgotten, since a publisher may use it next.
type SelfPush struct {
	mu    sync.Mutex // guards local
	local map[string]*pushDial
}

// pushDial is a push that is being dialed.
type pushDial struct{ stream string }

// NewSelfPush returns a SelfPush without addresses.
func NewSelfPush() *SelfPush { return &SelfPush{local: map[string]*pushDial{}} }

// Through returns a dial function that records the local addresses of its connections for a stream, until
// forget is called.
func (s *SelfPush) Through(dial link.DialFunc, stream string) (through link.DialFunc, forget func()) {
	d := &pushDial{stream}
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

func (s *SelfPush) forget(d *pushDial) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for local, known := range s.local {
		if known == d {
			delete(s.local, local)
		}
	}
}

// Stream returns the stream that is being pushed from a local address (host:port), or "" if there is none.
func (s *SelfPush) Stream(local string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.local[local]; d != nil {
		return d.stream
	}
	return ""
}

// Len returns the number of recorded addresses.
func (s *SelfPush) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.local)
}
