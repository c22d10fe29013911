package rtmpconn

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// countingWriter counts the writes to a connection.
type countingWriter struct {
	io.Writer
	writes int
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.writes++
	return w.Writer.Write(p)
}

// The two sides understand each other, and neither sends small pieces: the client C0 and C1
// together, the server all that it has to send.
func TestHandshakes(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	done := make(chan error, 1)
	to, from := &countingWriter{Writer: client}, &countingWriter{Writer: server}
	go func() { done <- ClientHandshake(bufio.NewReaderSize(client, 4<<10), to) }()
	if err := ServerHandshake(bufio.NewReaderSize(server, 4<<10), from); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, "client", done); err != nil {
		t.Fatal(err)
	}
	if to.writes != 2 || from.writes != 1 {
		t.Errorf("got %d writes of the client and %d of the server, want 2 and 1", to.writes, from.writes)
	}
}

// A server sends C1 back as S2, which some clients check.
func TestServerEchoesTheClient(t *testing.T) {
	_, l := serve(t, Options{})
	nc := l.Dial()
	defer nc.Close()
	c1 := bytes.Repeat([]byte{1, 2, 3, 4}, 1536/4)
	if _, err := nc.Write(append([]byte{3}, c1...)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, rtmptest.HandshakeSize)
	if _, err := io.ReadFull(nc, answer); err != nil {
		t.Fatal(err)
	}
	if s2 := answer[1+1536:]; answer[0] != 3 || !bytes.Equal(s2[:4], c1[:4]) || !bytes.Equal(s2[8:], c1[8:]) {
		t.Error("S2 does not echo C1")
	}
}

// Nothing is sent to a peer that does not speak RTMP.
func TestHandshakeRefusesOtherProtocols(t *testing.T) {
	for name, begin := range map[string]string{
		"HTTP": "GET / HTTP/1.1\r\nHost: relay\r\n\r\n", "RTMPE": "\x06", "TLS": "\x16\x03\x01",
	} {
		t.Run(name, func(t *testing.T) {
			var sent bytes.Buffer
			in := append([]byte(begin), make([]byte, 4<<10)...)
			if err := ServerHandshake(bufio.NewReader(bytes.NewReader(in)), &sent); !errors.Is(err, ErrNotRTMP) || sent.Len() > 0 {
				t.Errorf("server: got %v and %d bytes, want ErrNotRTMP and none", err, sent.Len())
			}
			if err := ClientHandshake(bufio.NewReader(bytes.NewReader(in)), io.Discard); !errors.Is(err, ErrNotRTMP) {
				t.Errorf("client: got %v, want ErrNotRTMP", err)
			}
		})
	}
}

func waitGone(t *testing.T, s *server) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); s.connections() > 0; runtime.Gosched() {
		if time.Now().After(until) {
			t.Fatal("the connection has not ended")
		}
	}
}

// FuzzHandshake sends bytes from the first of a connection on.
func FuzzHandshake(f *testing.F) {
	f.Add([]byte{3})
	f.Add(append([]byte{3}, make([]byte, 3072+20)...))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	srv, l := serve(f, Options{})
	f.Fuzz(func(t *testing.T, b []byte) {
		nc := l.Dial()
		go func() { _, _ = io.Copy(io.Discard, nc) }()
		_, _ = nc.Write(b)
		_ = nc.Close()
		waitGone(t, srv)
	})
}
