//go:build unix

package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// wire is the network of a client. Its connections can be reset, and reads can be paused, so that the
// relay has a viewer that does not read.
type wire struct {
	ctx    context.Context
	cancel context.CancelFunc
	http   *http.Client
	// agent is the User-Agent of the player; empty: the default.
	agent string
	// tokenInvalid makes the client resume with an invalid token.
	tokenInvalid atomic.Bool

	mu       sync.Mutex // guards the fields below
	conns    map[net.Conn]bool
	cuts     int
	readable chan struct{} // closed unless reads are paused
}

// newWire returns a wire whose sockets buffer little unread data.
func newWire(t testing.TB) *wire {
	ctx, end := context.WithCancel(t.Context())
	w := &wire{ctx: ctx, cancel: end, conns: map[net.Conn]bool{}, readable: make(chan struct{})}
	close(w.readable)
	transport := &http.Transport{DialContext: w.dial}
	w.http = &http.Client{Transport: transport}
	t.Cleanup(func() {
		w.leave()
		transport.CloseIdleConnections()
	})
	return w
}

func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	s := &watchedConn{Conn: c, w: w}
	w.addConn(c)
	return s, nil
}

// addConn adds a connection that cut resets. Its socket buffers little unread data.
func (w *wire) addConn(c net.Conn) {
	_ = c.(*net.TCPConn).SetReadBuffer(32 << 10)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[c] = true
}

// watchedConn reads only while reads are not paused.
type watchedConn struct {
	net.Conn
	w *wire
}

func (c *watchedConn) Read(b []byte) (int, error) {
	if err := c.w.waitReadable(); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *watchedConn) Close() error {
	c.w.mu.Lock()
	delete(c.w.conns, c.Conn)
	c.w.mu.Unlock()
	return c.Conn.Close()
}

// waitReadable waits while reads are paused.
func (w *wire) waitReadable() error {
	w.mu.Lock()
	opened := w.readable
	w.mu.Unlock()
	select {
	case <-opened:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// pauseReads pauses reads until resumeReads.
func (w *wire) pauseReads() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.readable = make(chan struct{})
}

func (w *wire) resumeReads() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.readable)
}

// cut resets all connections.
func (w *wire) cut() {
	w.mu.Lock()
	conns := w.conns
	w.conns = map[net.Conn]bool{}
	w.cuts++
	w.mu.Unlock()
	for c := range conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

// takeCut consumes one cut. It returns false if there is none.
func (w *wire) takeCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cuts == 0 {
		return false
	}
	w.cuts--
	return true
}

func (w *wire) leave() {
	w.cancel()
	w.cut()
}

// fetch requests a URL and reads the whole response.
func (w *wire) fetch(url string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	if w.agent != "" {
		req.Header.Set("User-Agent", w.agent)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}
