package faultnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// origin accepts connections on loopback and passes them to the test.
func origin(t *testing.T) (addr string, accepted <-chan net.Conn) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 8)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		close(conns)
		for c := range conns {
			_ = c.Close()
		}
	})
	return l.Addr().String(), conns
}

// connectThrough dials the proxy and returns both real ends.
func connectThrough(t *testing.T, p *Proxy, accepted <-chan net.Conn) (client, server *net.TCPConn) {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	s := <-accepted
	t.Cleanup(func() {
		_ = c.Close()
		_ = s.Close()
	})
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func newProxy(t *testing.T, target string, options func(int) Options) *Proxy {
	t.Helper()
	p, err := NewProxy(target, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestProxyForwards(t *testing.T) {
	addr, accepted := origin(t)
	p := newProxy(t, addr, nil)
	client, server := connectThrough(t, p, accepted)
	data := testData(3 << 20)
	up, down := readAll(server), readAll(client)
	go func() {
		_, _ = client.Write(data)
		_ = client.CloseWrite()
	}()
	<-up.done
	if up.err != nil || !bytes.Equal(up.got, data) {
		t.Errorf("up: got %d bytes and %v", len(up.got), up.err)
	}
	mustWrite(t, server, data[:100_000])
	_ = server.Close()
	<-down.done
	if down.err != nil || !bytes.Equal(down.got, data[:100_000]) {
		t.Errorf("down: got %d bytes and %v", len(down.got), down.err)
	}
	if p.Wire(0).Bytes(Both) != int64(len(data))+100_000 {
		t.Errorf("got %d bytes in both directions", p.Wire(0).Bytes(Both))
	}
}

func TestProxyReset(t *testing.T) {
	addr, accepted := origin(t)
	p := newProxy(t, addr, nil)
	client, server := connectThrough(t, p, accepted)
	up, down := readAll(server), readAll(client)
	p.Do(Reset, Both)
	<-up.done
	<-down.done
	if !errors.Is(up.err, syscall.ECONNRESET) || !errors.Is(down.err, syscall.ECONNRESET) {
		t.Errorf("got %v up and %v down, want ECONNRESET", up.err, down.err)
	}
}

func TestProxyResetAtByte(t *testing.T) {
	addr, accepted := origin(t)
	p := newProxy(t, addr, func(int) Options {
		return Options{Rules: []Rule{{Fault: Reset, Dir: Both, AtByte: 10_000}}}
	})
	client, server := connectThrough(t, p, accepted)
	up := readAll(server)
	_, _ = client.Write(testData(1 << 20))
	<-up.done
	// At the reset, the kernel may drop data that the peer has not read.
	if len(up.got) > 10_000 || !errors.Is(up.err, syscall.ECONNRESET) {
		t.Errorf("got %d bytes and %v, want at most 10000 and ECONNRESET", len(up.got), up.err)
	}
}

func TestProxyForwardsReset(t *testing.T) {
	addr, accepted := origin(t)
	p := newProxy(t, addr, nil)
	client, server := connectThrough(t, p, accepted)
	r := readAll(server)
	resetSocket(client)
	<-r.done
	if !errors.Is(r.err, syscall.ECONNRESET) {
		t.Error(r.err)
	}
}

func TestProxyHalfOpen(t *testing.T) {
	addr, accepted := origin(t)
	p := newProxy(t, addr, nil)
	client, server := connectThrough(t, p, accepted)
	mustWrite(t, client, []byte("before"))
	if _, err := io.ReadFull(server, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	p.Wire(0).Do(Hang, Both)
	mustWrite(t, client, []byte("hung"))
	resetSocket(client)
	if err := server.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := server.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("during the hang: got %v, want a timeout", err)
	}
	mustWrite(t, server, []byte("into nothing"))
	if err := server.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	p.Wire(0).Do(Thaw, Both)
	if _, err := io.ReadAll(server); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after the thaw: got %v", err)
	}
}

func TestProxyRefuses(t *testing.T) {
	addr, accepted := origin(t)
	p := newProxy(t, addr, nil)
	p.Refuse(true)
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.Addr())
	if err == nil {
		_, err = io.ReadAll(c)
		_ = c.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("refused connection: got %v", err)
	}
	p.Refuse(false)
	client, server := connectThrough(t, p, accepted)
	mustWrite(t, client, []byte("x"))
	if _, err := server.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestProxyClosesWhileStalled(t *testing.T) {
	addr, accepted := origin(t)
	p := newProxy(t, addr, nil)
	client, server := connectThrough(t, p, accepted)
	_ = client.CloseWrite() // one half closed, the other with full buffers
	if err := server.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := server.Write(make([]byte, 1<<20)); err != nil {
			break
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
