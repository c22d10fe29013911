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

// wire is what a client's bytes come through: it can be cut, and closed for a while so that
// the relay finds nobody reading.
type wire struct {
	ctx  context.Context
	end  context.CancelFunc
	http *http.Client
	// agent is the name of the player; empty: none of its own.
	agent string
	// spoiled makes what the client comes back with worthless.
	spoiled atomic.Bool

	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]bool
	cuts   int
	opened chan struct{} // closed unless the client has stopped reading
}

// newWire makes one whose sockets take little that nobody reads.
func newWire(t testing.TB) *wire {
	ctx, end := context.WithCancel(t.Context())
	w := &wire{ctx: ctx, end: end, conns: map[net.Conn]bool{}, opened: make(chan struct{})}
	close(w.opened)
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
	w.adopt(c)
	return s, nil
}

// adopt has a connection be cut with the others. Its socket takes little that nobody reads.
func (w *wire) adopt(c net.Conn) {
	_ = c.(*net.TCPConn).SetReadBuffer(32 << 10)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[c] = true
}

// watchedConn reads only while its wire is open.
type watchedConn struct {
	net.Conn
	w *wire
}

func (c *watchedConn) Read(b []byte) (int, error) {
	if err := c.w.reading(); err != nil {
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

// reading waits while the client has stopped reading.
func (w *wire) reading() error {
	w.mu.Lock()
	opened := w.opened
	w.mu.Unlock()
	select {
	case <-opened:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// stop has the client read nothing more, until goOn.
func (w *wire) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened = make(chan struct{})
}

func (w *wire) goOn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.opened)
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

// wasCut takes one of the cuts that there were; false if there was none.
func (w *wire) wasCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cuts == 0 {
		return false
	}
	w.cuts--
	return true
}

func (w *wire) leave() {
	w.end()
	w.cut()
}

// fetch asks for a URL and reads the whole of the answer.
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
