package rtmp

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
)

// ErrServerClosed is returned by Serve after Shutdown or Close.
var ErrServerClosed = errors.New("rtmp: server closed")

// Server accepts RTMP connections.
type Server struct {
	opts Options
	conn rtmpconn.Options

	mu        sync.Mutex // guards the fields below
	listeners map[net.Listener]struct{}
	conns     map[*rtmpconn.Conn]struct{}
	closed    bool
	closing   chan struct{}
	tasks     sync.WaitGroup // listeners and connections
}

// New returns a Server. The error says which option is invalid.
func New(o Options) (*Server, error) {
	if err := o.normalize(); err != nil {
		return nil, err
	}
	s := &Server{
		opts: o, listeners: map[net.Listener]struct{}{}, conns: map[*rtmpconn.Conn]struct{}{},
		closing: make(chan struct{}),
	}
	s.conn = s.connections()
	return s, nil
}

// Serve accepts connections from l until Shutdown or Close, and then returns ErrServerClosed. It
// closes l. It may be called for several listeners at once.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close() //nolint:errcheck // nothing can be done
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrServerClosed
	}
	s.listeners[l] = struct{}{}
	s.tasks.Add(1)
	s.mu.Unlock()
	defer s.tasks.Done()
	for backoff := time.Duration(0); ; {
		nc, err := l.Accept()
		if err == nil {
			backoff = 0
			s.accept(nc)
			continue
		}
		if s.isClosed() {
			return ErrServerClosed
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("rtmp: accept: %w", err)
		}
		// Most likely the process is out of file descriptors.
		backoff = min(max(2*backoff, 5*time.Millisecond), time.Second)
		s.opts.Log.Warn("accept failed", "err", err, "retry_in", backoff)
		select {
		case <-time.After(backoff):
		case <-s.closing:
		}
	}
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// accept serves a connection in a new goroutine.
func (s *Server) accept(nc net.Conn) {
	slot, ok := s.opts.Slots.TakeConn(nc.RemoteAddr(), func() { go func() { _ = nc.Close() }() }) // TLS may block to send its last record
	if !ok {
		s.conn.Refused(ingest.RefusedLimit)
		_ = nc.Close()
		return
	}
	c := rtmpconn.New(nc, newID(), slot, &s.conn)
	if !s.add(c) {
		slot.Release()
		_ = nc.Close()
		return
	}
	go func() {
		defer s.remove(c)
		c.Serve()
	}()
}

// add registers a connection. It returns false if the server is closed.
func (s *Server) add(c *rtmpconn.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	s.tasks.Add(1)
	return true
}

func (s *Server) remove(c *rtmpconn.Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.tasks.Done()
}

// newID returns 48 random bits, which are unique among the sessions of a process.
func newID() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Connections returns the number of open connections.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown stops accepting connections, tells every peer why its connection ends, and waits until
// all connections have ended. If ctx is done first, it closes the remaining connections without a
// message, and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	for l := range s.listeners {
		_ = l.Close()
	}
	s.mu.Unlock()
	s.each(func(c *rtmpconn.Conn) { c.Stop(ingest.Shutdown, "the relay is shutting down") })

	done := make(chan struct{})
	go func() {
		s.tasks.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.each((*rtmpconn.Conn).Abort)
		<-done
		return ctx.Err()
	}
}

// each calls f for every connection, without the lock.
func (s *Server) each(f func(*rtmpconn.Conn)) {
	s.mu.Lock()
	conns := make([]*rtmpconn.Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		f(c)
	}
}

// Close closes all connections without a message to the peers, and waits for them.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Shutdown(ctx) // its error is only that ctx is done
	return nil
}
