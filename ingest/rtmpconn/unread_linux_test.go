package rtmpconn

import (
	"net"
	"testing"
	"time"
)

// tcpPair returns both ends of a TCP connection over loopback.
func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if far, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	return near, far
}

func TestUnread(t *testing.T) {
	near, far := tcpPair(t)
	r := newReader(near, nil)
	if r.unread(time.Now()) {
		t.Error("got unread bytes before any were sent")
	}
	if _, err := far.Write([]byte("media")); err != nil {
		t.Fatal(err)
	}
	// Loopback delivers before Write returns.
	if !r.unread(time.Now()) {
		t.Error("got nothing unread, want the bytes in the socket")
	}
	if err := r.fill(); err != nil {
		t.Fatal(err)
	}
	if !r.unread(r.readAt.Add(time.Second)) {
		t.Error("got nothing unread while the bytes are being handled")
	}
	if r.unread(r.readAt.Add(maxHandling)) {
		t.Error("got unread bytes though the reader waits for something else by now")
	}
}
