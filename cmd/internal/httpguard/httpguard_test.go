package httpguard

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress"
)

// oneConn is a listener with one connection.
type oneConn struct {
	conn  chan net.Conn
	done  chan struct{}
	close func()
}

func listenTo(c net.Conn) *oneConn {
	l := &oneConn{conn: make(chan net.Conn, 1), done: make(chan struct{})}
	l.conn <- c
	l.close = sync.OnceFunc(func() { close(l.done) })
	return l
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error   { l.close(); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// A client that does not read its response is disconnected. A handler's own deadline applies;
// responses after it have the default one again.
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
				l := listenTo(conn)
				var ended atomic.Int64
				began := time.Now()
				server := &http.Server{
					Handler: Handler(c.serve, time.Second), ReadHeaderTimeout: time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
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

// inHTTP2 lets serve answer a request over HTTP/2 and TLS, in a bubble, and check examine the
// response.
func inHTTP2(t *testing.T, serve http.HandlerFunc, check func(*http.Response)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, conn := net.Pipe()
		server := httptest.NewUnstartedServer(Handler(serve, time.Second))
		_ = server.Listener.Close()
		server.Listener, server.EnableHTTP2 = listenTo(conn), true
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		server.StartTLS()
		transport := server.Client().Transport.(*http.Transport)
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return client, nil }
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.com/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := server.Client().Do(request); err != nil {
			t.Error(err)
		} else {
			check(answer)
			_ = answer.Body.Close()
		}
		transport.CloseIdleConnections()
		_ = client.Close()
		_ = conn.Close()
		server.Close()
	})
}

// A request over HTTP/2 may wait for its stream for longer than a write may block, before its
// response and within it, and with a deadline of the handler's own for each write.
func TestHTTP2AnswersMayWait(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve http.HandlerFunc
		want  string
	}{
		{"for its first bytes", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(5 * time.Minute)
			_, _ = io.WriteString(w, "here")
		}, "here"},
		{"amid the answer", func(w http.ResponseWriter, _ *http.Request) {
			for _, s := range []string{"a", "b", "c"} {
				_, _ = io.WriteString(w, s)
				_ = http.NewResponseController(w).Flush()
				time.Sleep(2 * answerTimeout)
			}
		}, "abc"},
		{"with deadlines of its own", func(w http.ResponseWriter, _ *http.Request) {
			control := http.NewResponseController(w)
			deadline := egress.Deadline{Conn: control, Timeout: time.Second}
			for _, s := range []string{"a", "b", "c"} {
				_ = deadline.Extend()
				_, _ = io.WriteString(w, s)
				_ = control.Flush()
				time.Sleep(time.Minute)
			}
		}, "abc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inHTTP2(t, c.serve, func(answer *http.Response) {
				body, err := io.ReadAll(answer.Body)
				if answer.ProtoMajor != 2 || string(body) != c.want || err != nil {
					t.Errorf("%s: got %q, %v, want %q", answer.Proto, body, err, c.want)
				}
			})
		})
	}
}

// A response over HTTP/2 that is not read ends.
func TestHTTP2AnswersThatAreNotReadEnd(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(*http.ResponseController)
		want    time.Duration
	}{
		{"the answer's own", func(*http.ResponseController) {}, answerTimeout},
		{"the handler's", func(c *http.ResponseController) { _ = c.SetWriteDeadline(time.Now().Add(time.Second)) }, time.Second},
		{"ended meanwhile", func(c *http.ResponseController) {
			d := &egress.Deadline{Conn: c, Timeout: 10 * time.Second}
			time.AfterFunc(2*time.Second, d.End)
		}, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			var took chan time.Duration
			inHTTP2(t, func(w http.ResponseWriter, _ *http.Request) {
				took = make(chan time.Duration, 1) // of the bubble
				c.prepare(http.NewResponseController(w))
				began := time.Now()
				for {
					if _, err := w.Write(make([]byte, 1<<20)); err != nil {
						break
					}
				}
				took <- time.Since(began)
			}, func(*http.Response) {
				if got := <-took; got < c.want || got > c.want+time.Second {
					t.Errorf("ended after %v, want %v", got, c.want)
				}
			})
		})
	}
}

// deadlines records the write deadline that was set last.
type deadlines struct {
	http.ResponseWriter
	mu   sync.Mutex
	last time.Time
	then func() // called within the first SetWriteDeadline
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.mu.Lock()
	then := d.then
	d.then = nil
	d.mu.Unlock()
	if then != nil {
		then()
	}
	d.mu.Lock()
	d.last = t
	d.mu.Unlock()
	return nil
}

func (d *deadlines) left() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Until(d.last)
}

// The deadline of End stays in force, also if it is set while another is being extended.
func TestDeadlineOfTheEndStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := &deadlines{ResponseWriter: httptest.NewRecorder()}
		answer := &timedAnswer{ResponseWriter: below, control: http.NewResponseController(below)}
		end := &egress.Deadline{Conn: http.NewResponseController(answer), Timeout: time.Minute}
		below.then = end.End
		_, _ = answer.Write([]byte("a"))
		if got := below.left(); got != time.Second {
			t.Errorf("%v are left, want the second of the end", got)
		}
	})
}

// Deadlines may be set concurrently with writes.
func TestDeadlinesBesideWrites(t *testing.T) {
	for _, multiplexed := range []bool{false, true} {
		below := &deadlines{ResponseWriter: httptest.NewRecorder()}
		answer := &timedAnswer{ResponseWriter: below, control: http.NewResponseController(below), multiplexed: multiplexed}
		end := &egress.Deadline{Conn: http.NewResponseController(answer), Timeout: time.Minute}
		var running sync.WaitGroup
		running.Go(end.End)
		for range 100 {
			_ = end.Extend()
			_, _ = answer.Write([]byte("a"))
		}
		running.Wait()
		answer.beginWrite()
		if got := below.left(); got > time.Second {
			t.Errorf("%v are left, want the second of the end", got)
		}
	}
}

// A viewer without a write timeout has none.
func TestNoWriteTimeoutIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := &deadlines{ResponseWriter: httptest.NewRecorder()}
		answer := &timedAnswer{ResponseWriter: below, control: http.NewResponseController(below)}
		none := &egress.Deadline{Conn: http.NewResponseController(answer)}
		for range 3 {
			_ = none.Extend()
			_, _ = answer.Write([]byte("a"))
			time.Sleep(answerTimeout)
		}
		if got := below.left(); got < 365*24*time.Hour {
			t.Errorf("%v are left, want no deadline", got)
		}
	})
}
