package faultnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testData returns n bytes in which no two sections are alike.
func testData(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8*13 + i>>16)
	}
	return b
}

// readResult holds what a connection delivered and how it ended.
type readResult struct {
	done chan struct{}
	got  []byte
	err  error
	took time.Duration // from the start to the end
}

func readAll(c net.Conn) *readResult {
	r := &readResult{done: make(chan struct{})}
	start := time.Now()
	go func() {
		defer close(r.done)
		r.got, r.err = io.ReadAll(c)
		r.took = time.Since(start)
	}()
	return r
}

func mustWrite(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if n, err := c.Write(b); n != len(b) || err != nil {
		t.Fatalf("write: got %d bytes and %v", n, err)
	}
}

// closeEnds closes both ends.
func closeEnds(a, b *Conn) {
	_ = a.Close()
	_ = b.Close()
}

func TestCarriesAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Seed: 1, Up: Shape{Delay: 50 * time.Millisecond, Jitter: 20 * time.Millisecond}, Down: Shape{Rate: 1000}}
		client, server, w := Pair(o)
		defer closeEnds(client, server)
		up, down := readAll(server), readAll(client)
		data := testData(1 << 20)
		mustWrite(t, client, data)
		mustWrite(t, server, data[:2000])
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		<-up.done
		if up.err != nil || !bytes.Equal(up.got, data) {
			t.Errorf("up: got %d bytes and %v", len(up.got), up.err)
		}
		if _, err := client.Write([]byte{1}); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write after CloseWrite: got %v, want EPIPE", err)
		}
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
		<-down.done
		if down.err != nil || !bytes.Equal(down.got, data[:2000]) || down.took < 2*time.Second || down.took > 3*time.Second {
			t.Errorf("down: got %d bytes and %v after %v", len(down.got), down.err, down.took)
		}
		if w.Bytes(Up) != 1<<20 || w.Bytes(Both) != 1<<20+2000 {
			t.Errorf("got %d bytes up and %d in both directions", w.Bytes(Up), w.Bytes(Both))
		}
		if server.Close() == nil {
			t.Error("second Close: got nil, want an error")
		}
	})
}

func TestDelayAndDrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := Pair(Options{Up: Shape{Delay: time.Second}, Down: Drip(100 * time.Millisecond)})
		defer closeEnds(client, server)
		start := time.Now()
		mustWrite(t, client, []byte("ping"))
		b := make([]byte, 10)
		n, err := server.Read(b)
		if n != 4 || err != nil || time.Since(start) != time.Second {
			t.Errorf("got %d bytes and %v after %v, want 4 after 1s", n, err, time.Since(start))
		}
		start = time.Now()
		mustWrite(t, server, []byte("pong"))
		for i := range 4 {
			n, err := client.Read(b)
			if want := time.Duration(i+1) * 100 * time.Millisecond; n != 1 || err != nil || time.Since(start) != want {
				t.Errorf("got %d bytes and %v after %v, want 1 after %v", n, err, time.Since(start), want)
			}
		}
	})
}

func TestBufferIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := Pair(Options{Up: Shape{Buffer: 1000}})
		defer closeEnds(client, server)
		if err := client.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := client.Write(make([]byte, 5000))
		var timeout net.Error
		if n != 1000 || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("got %d bytes and %v, want 1000 and a timeout", n, err)
		}
		if _, err := io.ReadFull(server, make([]byte, 400)); err != nil {
			t.Error(err)
		}
		if err := client.SetWriteDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, client, make([]byte, 400))
	})
}

func TestReadDeadlineEndsWaitingRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := Pair(Options{})
		defer closeEnds(client, server)
		r := readAll(server)
		synctest.Wait()
		if err := server.SetReadDeadline(time.Now().Add(-1)); err != nil {
			t.Fatal(err)
		}
		<-r.done
		if !errors.Is(r.err, os.ErrDeadlineExceeded) {
			t.Error(r.err)
		}
	})
}

func TestCloseEndsOwnReadAndWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := Pair(Options{Up: Shape{Buffer: 10}})
		r := readAll(client)
		var wg sync.WaitGroup
		wg.Go(func() {
			if n, err := client.Write(make([]byte, 20)); n != 10 || !errors.Is(err, net.ErrClosed) {
				t.Errorf("write: got %d bytes and %v, want 10 and ErrClosed", n, err)
			}
		})
		synctest.Wait()
		_ = client.Close()
		wg.Wait()
		<-r.done
		if !errors.Is(r.err, net.ErrClosed) {
			t.Error(r.err)
		}
		if _, err := server.Write([]byte{1}); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write to a closed end: got %v, want EPIPE", err)
		}
		_ = server.Close()
	})
}

func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, w := Pair(Options{Up: Shape{Delay: time.Second}})
		defer closeEnds(client, server)
		mustWrite(t, client, []byte("arrived"))
		time.Sleep(2 * time.Second)
		mustWrite(t, client, []byte("under way"))
		w.Do(Reset, Both)
		up, down := readAll(server), readAll(client)
		<-up.done
		<-down.done
		if string(up.got) != "arrived" || !errors.Is(up.err, syscall.ECONNRESET) {
			t.Errorf("up: got %q and %v, want what had arrived and ECONNRESET", up.got, up.err)
		}
		if len(down.got) != 0 || !errors.Is(down.err, syscall.ECONNRESET) {
			t.Errorf("down: got %q and %v, want nothing and ECONNRESET", down.got, down.err)
		}
		if _, err := client.Write([]byte{1}); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	})
}

func TestRules(t *testing.T) {
	data := testData(100_000)
	for name, c := range map[string]struct {
		rule    Rule
		want    error // for the reader of Up
		bytes   int   // read before it
		written error // for the writer
		at      time.Duration
	}{
		"reset at a byte":    {Rule{Fault: Reset, Dir: Both, AtByte: 54_321}, syscall.ECONNRESET, 54_321, syscall.ECONNRESET, 30 * time.Millisecond},
		"end at a byte":      {Rule{Fault: Close, Dir: Up, AtByte: 54_321}, nil, 54_321, syscall.EPIPE, 30 * time.Millisecond},
		"hang for a time":    {Rule{Fault: Hang, Dir: Both, AtByte: 54_321, For: time.Minute}, nil, 100_000, nil, time.Minute},
		"reset after a time": {Rule{Fault: Reset, After: 10 * time.Millisecond}, syscall.ECONNRESET, 0, nil, 10 * time.Millisecond},
		"end after a time":   {Rule{Fault: Close, Dir: Up, After: time.Hour}, nil, 100_000, nil, 30 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server, _ := Pair(Options{Up: Shape{Delay: 30 * time.Millisecond}, Rules: []Rule{c.rule}})
				defer closeEnds(client, server)
				r := readAll(server)
				_, err := client.Write(data)
				if !errors.Is(err, c.written) || (c.written == nil) != (err == nil) {
					t.Errorf("writer: got %v", err)
				}
				if err == nil {
					_ = client.CloseWrite()
				}
				<-r.done
				if !bytes.Equal(r.got, data[:c.bytes]) || !errors.Is(r.err, c.want) {
					t.Errorf("reader: got %d bytes and %v", len(r.got), r.err)
				}
				if r.took < c.at || r.took > c.at+time.Second {
					t.Errorf("reader: got the end after %v", r.took)
				}
			})
		})
	}
}

// TestHalfOpen checks that neither data nor a close nor an abort passes a hang, and that all of it does
// after the thaw.
func TestHalfOpen(t *testing.T) {
	for name, end := range map[string]struct {
		leave func(*Conn)
		want  error
		data  string
	}{
		"close": {func(c *Conn) { _ = c.Close() }, nil, "beforehung"},
		"death": {(*Conn).Abort, syscall.ECONNRESET, "before"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server, w := Pair(Options{Down: Shape{Buffer: 10}})
				r := readAll(server)
				mustWrite(t, client, []byte("before"))
				synctest.Wait()
				w.Do(Hang, Both)
				mustWrite(t, client, []byte("hung"))
				end.leave(client)
				time.Sleep(time.Hour)
				select {
				case <-r.done:
					t.Errorf("got %q and %v during the hang, want nothing", r.got, r.err)
				default:
				}
				mustWrite(t, server, make([]byte, 10))
				if err := server.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
				if _, err := server.Write([]byte{1}); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("write: got %v", err)
				}
				w.Do(Thaw, Both)
				<-r.done
				if string(r.got) != end.data || !errors.Is(r.err, end.want) {
					t.Errorf("after the thaw: got %q and %v", r.got, r.err)
				}
				_ = server.Close()
			})
		})
	}
}

func TestSameSeedSameDelays(t *testing.T) {
	run := func(seed uint64) (at []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			client, server, _ := Pair(Options{Seed: seed, Up: Shape{Jitter: time.Second}})
			defer closeEnds(client, server)
			start := time.Now()
			b := make([]byte, 10)
			for range 20 {
				mustWrite(t, client, []byte("x"))
				if _, err := server.Read(b); err != nil {
					t.Fatal(err)
				}
				at = append(at, time.Since(start))
			}
		})
		return at
	}
	a, b, c := run(1), run(1), run(2)
	differ := false
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("segment %d: got arrivals %v and %v, want them equal", i, a[i], b[i])
		}
		differ = differ || a[i] != c[i]
	}
	if !differ {
		t.Error("got equal delays for two seeds")
	}
}

func TestNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(func(n int) Options { return Options{Seed: uint64(n)} })
		if _, err := n.DialContext(t.Context(), "tcp", "origin:1935"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial without a listener: got %v, want ECONNREFUSED", err)
		}
		l, err := n.Listen("origin:1935")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Listen("origin:1935"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("second Listen: got %v, want EADDRINUSE", err)
		}
		client, err := n.DialContext(t.Context(), "tcp", "origin:1935")
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if server.RemoteAddr().String() != client.LocalAddr().String() || client.RemoteAddr().String() != "origin:1935" {
			t.Errorf("got addresses %v and %v", server.RemoteAddr(), client.RemoteAddr())
		}
		r := readAll(server)
		mustWrite(t, client, []byte("hello"))
		synctest.Wait()
		n.Do(Reset, Both)
		<-r.done
		if string(r.got) != "hello" || n.Wire(0).Bytes(Up) != 5 || n.Wire(1) != nil {
			t.Errorf("got %q and %v", r.got, r.err)
		}

		n.SetDark(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if _, err := n.DialContext(ctx, "tcp", "origin:1935"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("dial on a dark network: got %v after %v", err, time.Since(start))
		}
		n.SetDark(false)

		waiting, err := n.DialContext(t.Context(), "tcp", "origin:1935")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: got %v, want ErrClosed", err)
		}
		if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("connection that was not accepted: got %v", err)
		}
		for _, c := range []net.Conn{client, server, waiting} {
			_ = c.Close()
		}
	})
}
