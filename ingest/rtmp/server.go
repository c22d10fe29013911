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

	gortmp "github.com/yutopp/go-rtmp"

	"github.com/holdfast-live/holdfast/ingest"
)

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = errors.New("rtmp: server closed")

// Server accepts RTMP connections.
type Server struct {
	o      Options
	gates  *gates
	gortmp *gortmp.Server
	start  sync.Once

	mu        sync.Mutex // guards what follows
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	closed    bool
	closing   chan struct{}
	tasks     sync.WaitGroup // listeners and connections
	inner     sync.WaitGroup // go-rtmp's accepting goroutine
}

// New returns a Server.
func New(o Options) (*Server, error) {
	if err := o.normalize(); err != nil {
		return nil, err
	}
	return &Server{
		o: o, gates: newGates(), gortmp: newGoRTMP(),
		listeners: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{},
		closing: make(chan struct{}),
	}, nil
}

// Serve accepts connections of l until Shutdown or Close; then it returns
// ErrServerClosed. It closes l. It may be called for several listeners at once.
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
	s.start.Do(func() {
		s.inner.Go(func() { _ = s.gortmp.Serve(s.gates) })
	})
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
		// Out of descriptors, most likely: trying at once would only burn.
		backoff = min(max(2*backoff, 5*time.Millisecond), time.Second)
		s.o.Log.Warn("accept failed", "err", err, "retry_in", backoff)
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

// accept gives a connection a goroutine of its own.
func (s *Server) accept(nc net.Conn) {
	sl, ok := s.o.Slots.TakeConn(nc.RemoteAddr(), func() { go func() { _ = nc.Close() }() }) // TLS may wait for its last word
	if !ok {
		s.o.Refused(ingest.RefusedLimit)
		_ = nc.Close()
		return
	}
	tune(tcpOf(nc), s.o.UserTimeout)
	ctx, cancel := context.WithCancel(context.Background())
	c := &conn{
		srv: s, id: newID(), nc: nc, remote: nc.RemoteAddr().String(), slot: sl,
		w: newWriter(nc, s.o.WriteTimeout), r: newReader(nc, s.o.Reassembly),
		ctx: ctx, cancel: cancel,
		commands: bucket{rate: 50, burst: 200},
		creates:  bucket{rate: 2, burst: 20},
		pongs:    bucket{rate: 5, burst: 20},
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		cancel()
		sl.Release()
		_ = nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.tasks.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.tasks.Done()
		c.serve()
	}()
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// newID is unique in the process's life: 48 random bits among far fewer sessions.
func newID() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Connections is the number of connections that are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown stops accepting, tells every peer why it ends, and waits for all of them.
// When ctx is done first, the rest is closed without a word; its error is returned.
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
	s.each(func(c *conn) { c.stop(ending{cause: ingest.Shutdown, reason: "the relay is shutting down"}) })

	done := make(chan struct{})
	go func() {
		s.tasks.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		s.each(func(c *conn) { _ = c.nc.Close() })
		<-done
	}
	_ = s.gortmp.Close()
	s.inner.Wait()
	return err
}

// each calls f for every connection, without the lock.
func (s *Server) each(f func(*conn)) {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		f(c)
	}
}

// Close ends everything at once, without a word to the peers, and waits.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Shutdown(ctx) // its error is only that ctx is done
	return nil
}
