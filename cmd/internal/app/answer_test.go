package app

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/configs"
)

// oneConn is a listener with one connection.
type oneConn struct {
	conn chan net.Conn
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error   { close(l.done); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// A client that does not read its answer is disconnected. A handler's own deadline holds; answers after
// it have the usual one again.
func TestAnswersThatAreNotReadEnd(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve http.HandlerFunc
		most  time.Duration
	}{
		{"a page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }, answerTimeout},
		{"no body", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, answerTimeout},
		{"after a long wait", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(2 * answerTimeout) // as for a stream to come
			_, _ = w.Write([]byte("here"))
		}, 3 * answerTimeout},
		{"with a deadline of its own", func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = w.Write(make([]byte, 1<<20))
		}, time.Second},
		{"whose own has ended", func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
			_, _ = w.Write(make([]byte, 1<<20))
		}, answerTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, conn := net.Pipe()
				l := &oneConn{make(chan net.Conn, 1), make(chan struct{})}
				l.conn <- conn
				var ended atomic.Int64
				began := time.Now()
				server := &http.Server{
					Handler: impatient(c.serve, time.Second), ReadHeaderTimeout: time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
					ConnState: func(_ net.Conn, s http.ConnState) {
						if s == http.StateClosed {
							ended.Store(int64(time.Since(began)))
						}
					},
				}
				go func() { _ = server.Serve(l) }()
				if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: relay\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * answerTimeout)
				synctest.Wait()
				if got := time.Duration(ended.Load()); got == 0 || got > c.most+5*time.Second { // net/http lingers a little
					t.Errorf("the connection ended after %v, want %v", got, c.most)
				}
				_ = client.Close()
				_ = server.Close()
			})
		})
	}
}

// One address with most of the connections is named once.
func TestProxyThatIsNotDeclared(t *testing.T) {
	var log bytes.Buffer
	cfg := configs.Default()
	a := &App{log: slog.New(slog.NewTextHandler(&log, nil)), settings: &settings{}}
	a.settings.cfg.Store(&cfg)
	a.slots = newSlots(&cfg, a.settings)
	watch := newProxyWatch()
	for i := range 600 {
		from := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: i + 1}
		if i%3 == 0 {
			from.IP = net.IPv4(198, 51, 100, byte(i))
		}
		if _, ok := a.slots.Take(from); !ok {
			t.Fatal("no slot")
		}
		watch.look(a)
	}
	if got := log.String(); strings.Count(got, "one address carries most connections") != 1 || !strings.Contains(got, "addr=192.0.2.1") {
		t.Errorf("logged %q, want one warning that names the address", got)
	}
}
