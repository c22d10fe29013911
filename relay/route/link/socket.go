package link

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
)

// maxUnsent is how many unsent bytes the system may hold: a fifth of a second at 1.3 Mb/s. A longer
// backlog shows as a write that blocks.
const maxUnsent = 32 << 10

// socket is a connection below TLS. It counts the bytes sent and received, and asks the system how
// many have been acknowledged.
type socket struct {
	net.Conn
	raw  syscall.RawConn // nil if the connection has no system socket
	base uint64          // bytes acknowledged before anything was written to this socket

	sent     atomic.Uint64 // bytes written, including a write in progress
	received atomic.Uint64
	handling rtmpconn.Handling
}

// tcpInfo is the system's information about a TCP connection.
type tcpInfo struct {
	acked            uint64 // bytes that the peer's TCP has acknowledged
	rtt, rttvar      time.Duration
	segments, resent uint64
}

// newSocket makes the system notice a dead peer within userTimeout, and buffer little when the peer
// does not read. On systems without these options, only the write deadline and RTMP acknowledgements
// detect a dead peer.
func newSocket(c net.Conn, userTimeout time.Duration) *socket {
	s := &socket{Conn: c}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw = raw
			_ = rtmpconn.SetUserTimeout(raw, userTimeout)
			_ = rtmpconn.LimitUnsent(raw, maxUnsent)
			info, _ := s.info()
			s.base = info.acked
		}
	}
	return s
}

// Write implements net.Conn.
func (s *socket) Write(b []byte) (int, error) {
	s.sent.Add(uint64(len(b)))
	n, err := s.Conn.Write(b)
	if missing := len(b) - n; missing > 0 {
		s.sent.Add(-uint64(missing)) //nolint:gosec // a subtraction
	}
	return n, err
}

// Read implements net.Conn.
func (s *socket) Read(b []byte) (int, error) {
	s.handling.Wait()
	n, err := s.Conn.Read(b)
	s.received.Add(uint64(n)) //nolint:gosec // not negative
	s.handling.Begin(time.Now())
	return n, err
}

// unread reports whether received bytes wait in the socket or are being handled.
func (s *socket) unread() bool {
	return s.handling.Active(time.Now()) || rtmpconn.UnreadBytes(s.raw) > 0
}

// CloseWrite closes this side's direction of the connection.
func (s *socket) CloseWrite() error {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// info returns the system's information about the connection. It returns false if the system has
// none.
func (s *socket) info() (tcpInfo, bool) {
	if s.raw == nil {
		return tcpInfo{}, false
	}
	info, ok := readInfo(s.raw)
	if !ok || info.acked < s.base {
		return tcpInfo{}, false
	}
	info.acked -= s.base
	return info, true
}
